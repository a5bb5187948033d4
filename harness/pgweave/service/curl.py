"""Requests as lines for bash that send them again with curl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pgweave.service.exchange import HttpExchange

_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)
_BEFORE_NUMBER = re.compile(r"/$|(\b|_)(id|Id|ID)[\"\]D]*\s*[:=]\s*\"?$|Id[\"\]D]*\s*[:=]\s*\"?$")
"""What stands before a number that is an id: a path, or a member's name. Other numbers are amounts."""
_SEEN = " | tee /dev/stderr | jq -r "


class CurlWriter:
    """Writes requests, one after the other; what an answer brings and a later request sends is a variable.

    Args:
        exchanges: the requests, in the order in which they are written.
        secrets: values that are not shown, and the environment's variable that has each.

    Attributes:
        urls: the variable for each place to which they are sent: URL, and URL2 where there are two.
    """

    def __init__(self, exchanges: Sequence[HttpExchange], secrets: Mapping[str, str] | None = None) -> None:
        bases = dict.fromkeys(each.base for each in exchanges)
        self.urls = {base: f"URL{number if number > 1 else ''}" for number, base in enumerate(bases, 1)}
        self._secrets = dict(secrets or {})
        self._brings = _brought(exchanges)
        self._known: dict[str, str] = {}

    def line(self, exchange: HttpExchange) -> str:
        """The command that sends a request, and names what its answer brings."""
        options = ["-g"] if re.search(r"[][{}]", exchange.target) else []
        options += ["--path-as-is"] if "/." in exchange.target else []
        options += ["--head"] if exchange.method == "HEAD" else ["-X", self._quoted(exchange.method)]
        options.append(f'"${self.urls[exchange.base]}"' + self._quoted(exchange.target))
        for name, value in exchange.headers:
            options += ["-H", self._quoted(f"{name}: ".encode() + value if value else f"{name};".encode())]
        if exchange.body and not any(name.lower() == "content-type" for name, _ in exchange.headers):
            options += ["-H", "Content-Type:"]
        before = ""
        if b"\0" in exchange.body:  # no argument can have it
            before = f"printf '%b' {self._quoted(_for_printf(exchange.body))} | "
            options += ["--data-binary", "@-"]
        elif exchange.body:
            options += ["--data-raw", self._quoted(exchange.body)]
        brings = self._brings.get(id(exchange))
        if brings is None:
            return f"{before}curl -sS -i -w '\\n' {' '.join(options)}"
        return self._naming(f"{before}curl -sS {' '.join(options)}", brings)

    def is_named(self, exchange: HttpExchange) -> bool:
        """Whether later lines need what the answer brings."""
        return id(exchange) in self._brings

    def _naming(self, command: str, brings: Mapping[str, str]) -> str:
        names = [self._named(value) for value in brings]
        if len(names) == 1:
            (path,) = brings.values()
            return f"{names[0]}=$({command}{_SEEN}{_single_quoted(path)})"
        taken = "; ".join(
            f'{name}=$(jq -r {_single_quoted(path)} <<<"$ANSWER")'
            for name, path in zip(names, brings.values(), strict=True)
        )
        return f'ANSWER=$({command}); echo "$ANSWER"; {taken}'

    def _named(self, value: str) -> str:
        return self._known.setdefault(value, self._secrets.get(value) or f"ID{len(self._known) + 1}")

    def _quoted(self, text: str | bytes) -> str:
        """A word of bash, whatever it has in it; what is known by a variable is written as that."""
        shown = text if isinstance(text, str) else text.decode("utf-8", "surrogateescape")
        variables = {**self._known, **self._secrets}
        if not variables:
            return _word(shown)
        whole = [
            *map(re.escape, sorted(self._secrets, key=len, reverse=True)),
            *(rf"(?<![\w-]){re.escape(each)}(?![\w-])" for each in self._known),
        ]
        quoted, end = "", 0
        for found in re.finditer("|".join(whole), shown):
            if found[0].isdecimal() and not _BEFORE_NUMBER.search(shown[: found.start()]):
                continue
            before = shown[end : found.start()]
            quoted += f'{_word(before) if before else ""}"${{{variables[found[0]]}}}"'
            end = found.end()
        return quoted + (_word(shown[end:]) if shown[end:] else "") or "''"


def _word(text: str) -> str:
    """Text as a word of bash, all of it characters that can be seen."""
    if _PLAIN.fullmatch(text):
        return text
    if text.isprintable():
        return _single_quoted(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _escaped(one: str) -> str:
    if one in "\\'":
        return f"\\{one}"
    if one.isprintable():
        return one
    return "".join(f"\\{byte:03o}" for byte in one.encode("utf-8", "surrogateescape"))


def _for_printf(body: bytes) -> str:
    shown = (chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\0{byte:03o}" for byte in body)
    return "".join(shown)


def _brought(exchanges: Sequence[HttpExchange]) -> Mapping[int, Mapping[str, str]]:
    """What each answer was the first to bring and a later request has, and where the answer has it."""
    found: dict[int, dict[str, str]] = {}
    sent: set[str] = set()
    for number, exchange in enumerate(exchanges):
        sent.update(_values_of(exchange))
        later = {value for each in exchanges[number + 1 :] for value in _values_of(each)} - sent - {""}
        ids = {value for each in exchanges[number + 1 :] for value in _numbers_that_are_ids(each)}
        brings: dict[str, str] = {}
        for value, path in _scalars(_parsed(exchange.answer)):
            if value in later and (not value.isdecimal() or value in ids):
                brings.setdefault(value, path or ".")
        sent.update(brings)
        if brings:
            found[id(exchange)] = brings
    return found


def _values_of(exchange: HttpExchange) -> Iterator[str]:
    """The values that a request has: segments of its path, parameters, header fields, members of its body."""
    url = urlsplit(exchange.target)
    yield from map(unquote, url.path.split("/"))
    yield from (value for _, value in parse_qsl(url.query))
    for _, value in exchange.headers:
        yield from value.decode("utf-8", "replace").split()
    body = exchange.body.decode("utf-8", "replace")
    parsed = _parsed(body)
    if parsed is None:
        yield from (value for _, value in parse_qsl(body))
    else:
        yield from (value for value, _ in _scalars(parsed))


def _numbers_that_are_ids(exchange: HttpExchange) -> Iterator[str]:
    for text in (exchange.target, exchange.body.decode("utf-8", "replace")):
        for found in re.finditer(r"(?<![\w-])[0-9]+(?![\w-])", text):
            if _BEFORE_NUMBER.search(text[: found.start()]):
                yield found[0]


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except ValueError:
        return None


def _scalars(value: Any, path: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """The texts and whole numbers in a JSON value, each with jq's path to it."""
    if isinstance(value, dict):
        for name, each in value.items():
            plain = re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)
            below = f"{path}.{name}" if plain else f"{path or '.'}[{json.dumps(name)}]"
            yield from _scalars(each, below)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _scalars(each, f"{path or '.'}[{number}]")
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value), path
