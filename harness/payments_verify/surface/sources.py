"""Where requests may come from if there are no tokens: see operations.md, Without tokens."""

from __future__ import annotations

from collections.abc import Iterator

from payments_verify.surface.exchange import ALIVE, Answer, Exchange
from payments_verify.surface.raw import BODY, JSON, closing, head
from payments_verify.surface.written import PAYMENT, UNKNOWN

_OWN = "{own}"
"""Stands for the process's address and port."""
_BREAKS = "I2, I11"
_ONE, _NOBODY_PATH = f"/payments/{PAYMENT}", f"/payments/{UNKNOWN}"
_READ = head("GET", _ONE, first=f"Host: {_OWN}\r\n".encode())
_SERVED = Answer(200, to=("GET", _ONE))
_INVALID_HOST, _FOREIGN_HOST = Answer(400, "invalid_host"), Answer(421, "foreign_host")
_FOREIGN_ORIGIN = Answer(403, "foreign_origin")

_OWN_HOSTS = (
    *(_OWN, "localhost", "LocalHost:1", "127.0.0.1", "127.255.255.254", "[::1]:80", "[::ffff:127.0.0.1]"),
    "localhost \t",  # spaces around a field's value are no part of it
)
_OTHER_HOSTS = (
    *("example.com", "127.0.0.1.example.com", "localhost.example.com", "example.com:80", "localhost-", "x"),
    *("169.254.0.1", "0.0.0.0", "128.0.0.1", "[::]", "[fe80::1]", "[::ffff:192.0.2.1]", "127.0.0.256"),  # noqa: S104 - nothing is bound
)
_NO_HOSTS = ("", "a b", f"{_OWN}\r\nHost: {_OWN}", f"{_OWN}\r\nHost: example.com", "example.com, localhost")
_OTHER_ORIGINS = (
    *("null", "", "http://example.com", "http://127.0.0.1:1", f"https://{_OWN}", "http://localhost", _OWN),
    *(f"http://{_OWN}/", f"http://{_OWN} http://example.com", f"http://{_OWN}\r\nOrigin: null"),
    f"null\r\nOrigin: http://{_OWN}",
)
_OTHER_SITES = ("cross-site", "same-site", "", "x", "none, cross-site", "none\r\nSec-Fetch-Site: cross-site")
_FORWARDED = "Forwarded: for=192.0.2.1;host={0}\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: {0}\r\n"
_OPEN_PATHS, _CLOSED_PATHS = ("/healthz", "/readyz"), ("/payments", "/metrics", _NOBODY_PATH, "/nowhere")


def from_elsewhere() -> Iterator[Exchange]:
    """Requests to a process without tokens, from its own machine and, as they say, for others."""
    for host, more, answer in _sources():
        fields = f"Host: {host}\r\n{more}"
        yield from _asked(_ONE, fields.encode(), answer)
    yield from _whole_urls()
    yield from _asked(_ONE, b"", _INVALID_HOST, in_old=_SERVED)
    for path in _OPEN_PATHS:
        foreign = f"Host: {_OWN}\r\nOrigin: null\r\nSec-Fetch-Site: cross-site\r\n"
        yield from _asked(path, foreign.encode(), ALIVE)
        yield from _asked(path, b"Host: example.com\r\n", _FOREIGN_HOST)
    for path in _CLOSED_PATHS:
        for fields in (f"Host: {_OWN}\r\nOrigin: null\r\n", f"Host: {_OWN}\r\nSec-Fetch-Site: same-site\r\n"):
            yield from _asked(path, fields.encode(), _FOREIGN_ORIGIN)
    yield from _creations()


def _sources() -> Iterator[tuple[str, str, Answer]]:
    """A host, other fields, and the answer; what a proxy says of the way is not believed."""
    yield from ((host, "", _SERVED) for host in _OWN_HOSTS)
    yield from ((host, "", _FOREIGN_HOST) for host in _OTHER_HOSTS)
    yield from ((host, "", _INVALID_HOST) for host in _NO_HOSTS)
    yield from ((_OWN, f"Origin: {origin}\r\n", _FOREIGN_ORIGIN) for origin in _OTHER_ORIGINS)
    yield from ((_OWN, f"Sec-Fetch-Site: {site}\r\n", _FOREIGN_ORIGIN) for site in _OTHER_SITES)
    yield from ((_OWN, f"Sec-Fetch-Site: {site}\r\n", _SERVED) for site in ("same-origin", "none", "none "))
    yield _OWN, f"Origin: http://{_OWN}\r\nX-Forwarded-Proto: https\r\n", _SERVED
    yield "LOCALHOST:1", "Origin: HTTP://localhost:1 \r\n", _SERVED
    yield _OWN, f"Origin: http://{_OWN}\r\nSec-Fetch-Site: cross-site\r\n", _FOREIGN_ORIGIN
    yield _OWN, "Origin: null\r\nSec-Fetch-Site: same-origin\r\n", _FOREIGN_ORIGIN
    yield _OWN, _FORWARDED.format("example.com"), _SERVED
    yield "example.com", _FORWARDED.format("localhost"), _FOREIGN_HOST
    yield "example.com", f"X-Host: {_OWN}\r\nX-Original-Host: {_OWN}\r\n", _FOREIGN_HOST


def _whole_urls() -> Iterator[Exchange]:
    """The host in the target takes the place of the field's."""
    own, other = f"Host: {_OWN}\r\n".encode(), b"Host: example.com\r\n"
    for scheme in ("http", "https", "HTTP"):
        for host, answer in ((_OWN, _SERVED), ("localhost", _SERVED), ("example.com", _FOREIGN_HOST)):
            for fields in (own, other):
                yield from _asked(f"{scheme}://{host}{_ONE}", fields, answer)
    yield from _asked(f"http://example.com{_ONE}", b"", _INVALID_HOST, in_old=_FOREIGN_HOST)
    yield from _asked(f"http://{_OWN}{_ONE}", b"", _INVALID_HOST, in_old=_SERVED)
    yield from _asked(f"http://localhost@example.com{_ONE}", own, _INVALID_HOST)
    yield from _asked(f"http://{_OWN}{_ONE}", own + other, _INVALID_HOST)


def _asked(target: str, fields: bytes, answer: Answer, in_old: Answer | None = None) -> Iterator[Exchange]:
    """A read in each version, the first on its connection, and between two that are served.

    Args:
        target: what is asked for.
        fields: the only fields.
        answer: to it.
        in_old: the answer in HTTP/1.0, if that is another.
    """
    what = f"without tokens, {target} with {fields.decode()!r}"
    sent = head("GET", target, first=fields)
    steps = (sent, answer, _READ + sent + _READ, _SERVED, answer, _SERVED)
    yield Exchange(_BREAKS, what, steps)
    sent = head("GET", target, version="1.0", first=fields)
    yield Exchange(_BREAKS, f"{what}, in HTTP/1.0", (_READ + sent, *closing(_SERVED, in_old or answer)))


def _creations() -> Iterator[Exchange]:
    """What is refused creates nothing."""
    looked = head("GET", _NOBODY_PATH, first=f"Host: {_OWN}\r\n".encode())
    nobody = Answer(404, "payment_not_found")
    for fields, refusal in (
        (f"Host: {_OWN}\r\nOrigin: null\r\n", _FOREIGN_ORIGIN),
        ("Host: example.com\r\n", _FOREIGN_HOST),
        (f"Host: {_OWN}\r\nHost: {_OWN}\r\n", _INVALID_HOST),
    ):
        length = b"Content-Length: %d\r\n" % len(BODY)
        sent = head("PUT", _NOBODY_PATH, JSON + length, first=fields.encode()) + BODY
        what = f"without tokens, a creation with {fields!r}"
        yield Exchange(_BREAKS, what, (sent, refusal, looked, nobody))
