"""How a request goes over the wire: its body as JSON or as a form, a session's header fields, a signature."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from payments_verify.binding.hooks import signer
from payments_verify.binding.requests import compile_template
from payments_verify.binding.sections import Service

_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class EncodingHttp:
    """Carries requests to a service whose bodies are not plain JSON, or that wants more with each of them.

    Attributes:
        http: sends them.
        service: says how bodies are written.
        saved: what the answers to ``setup`` have named; a header field is sent once all of its names are.
    """

    http: httpx.AsyncClient
    service: Service
    saved: Mapping[str, str | int]

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> httpx.Response:
        """Send a request; ``httpx.TransportError`` if there is no whole answer."""
        kind, content = encode(self.service.body, json)
        if any(name.lower() == "content-type" for name in self.service.headers):
            kind = {}
        fields = {**kind, **self._of_session(), **headers}
        if self.service.sign is not None:
            fields |= signer(self.service.sign)(method, path, fields, content)
        return await self.http.request(method, path, headers=fields, content=content)

    def _of_session(self) -> dict[str, str]:
        known: dict[str, str] = {}
        for name, text in self.service.headers_with_names.items():
            with suppress(KeyError):
                known[name] = str(compile_template(text)(self.saved))
        return known


def encode(kind: str, body: Mapping[str, Any] | None) -> tuple[dict[str, str], bytes]:
    """The header that names a body's type, and the body's bytes.

    Args:
        kind: "json" or "form", see ``service.body``.
        body: as it stands in a binding, filled; ``None`` for none.
    """
    if body is None:
        return {}, b""
    encoded = urlencode(list(_fields(body))) if kind == "form" else json.dumps(body, separators=(",", ":"))
    return {"Content-Type": _TYPES[kind]}, encoded.encode()


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """The fields of a form: ``outer[inner]`` for what lies within others, ``name[0]`` for a list."""
    match value:
        case Mapping():
            for inner, each in value.items():
                yield from _fields(each, f"{name}[{inner}]" if name else inner)
        case list():
            for number, each in enumerate(value):
                yield from _fields(each, f"{name}[{number}]")
        case None:
            yield name, ""
        case bool():
            yield name, "true" if value else "false"
        case _:
            yield name, str(value)
