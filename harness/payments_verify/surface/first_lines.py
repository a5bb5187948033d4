"""What a request is for: its method, its target, its version, and the host that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from payments_verify.surface.exchange import Answer, Exchange
from payments_verify.surface.raw import HOST, NOBODY, ONE, READ, RIGHT, found, head, last, refused, served

_FIELDS = HOST + RIGHT + b"\r\n"
_TARGET = ONE.encode()
_NO_FIRST_LINES: Mapping[str, bytes] = {
    "no HTTP": b"NO HTTP",
    "NULs": b"\x00" * 20,
    "a method in small letters": b"get %b HTTP/1.1",
    "a method in mixed letters": b"Get %b HTTP/1.1",
    "a method that there is not": b"GETS %b HTTP/1.1",
    "a tunnel": b"CONNECT {host} HTTP/1.1",
    "a tunnel to a path": b"CONNECT %b HTTP/1.1",
    "no version": b"GET %b",
    "another protocol": b"GET %b RTSP/1.0",
    "another protocol's method": b"SOURCE %b ICE/1.0",
    "a version in small letters": b"GET %b http/1.1",
    "more behind the version": b"GET %b HTTP/1.1 x",
    "a space behind the version": b"GET %b HTTP/1.1 ",
    "a space before the method": b" GET %b HTTP/1.1",
    "two spaces before the target": b"GET  %b HTTP/1.1",
    "two spaces behind the target": b"GET %b  HTTP/1.1",
    "tabs for spaces": b"GET\t%b\tHTTP/1.1",
    "a space in the target": b"GET %b /x HTTP/1.1",
    "a NUL in the target": b"GET %b\x00 HTTP/1.1",
    "a target that is not ASCII": b"GET %b\xc3\xa9 HTTP/1.1",
    "a fragment": b"GET %b#x HTTP/1.1",
    "an empty fragment": b"GET %b# HTTP/1.1",
    "a fragment behind a query": b"GET /payments?limit=1#x HTTP/1.1",
    "a fragment of a whole URL": b"GET http://{host}%b#x HTTP/1.1",
    "a URL of another scheme": b"GET ftp://{host}%b HTTP/1.1",
    "a URL without a host": b"GET http://%b HTTP/1.1",
    "a target without a slash": b"GET payments HTTP/1.1",
    "a host and a port": b"GET {host} HTTP/1.1",
    "a query alone": b"GET ?limit=1 HTTP/1.1",
    **{f"HTTP/{each}": b"GET %%b HTTP/%b" % each.encode() for each in ("0.9", "1.2", "1.10", "2.0", "3")},
}
"""``%b`` stands for the path of a payment."""

_INVALID_HOSTS: Mapping[str, bytes] = {
    "an empty host": b"Host:\r\n",
    "two hosts": HOST * 2,
    "two other hosts": HOST + b"Host: example.com\r\n",
    "hosts in a list": b"Host: {host}, example.com\r\n",
    "a host with a space": b"Host: a b\r\n",
    "a host with a name before": b"Host: user@{host}\r\n",
    "a host with a path": b"Host: {host}/x\r\n",
    "a host that is a URL": b"Host: http://{host}\r\n",
    "a host whose port is none": b"Host: localhost:x\r\n",
    "half an address": b"Host: [::1\r\n",
}


def first_lines() -> Iterator[Exchange]:
    """All of them, to a process with tokens."""
    for what, line in _NO_FIRST_LINES.items():
        sent = line.replace(b"%b", _TARGET) + b"\r\n" + _FIELDS
        yield from refused("I11", f"{what} in the first line", sent)
    yield from refused("I11", "lines that end in LF", head("GET", ONE).replace(b"\r\n", b"\n") + b"\r\n\r\n")
    yield from _targets()
    yield from _hosts()


def _targets() -> Iterator[Exchange]:
    read, no_resource = found("GET"), Answer(404, "http_404")
    for what, target in (
        ("a whole URL", "http://{host}"),
        ("a whole URL, behind a proxy with TLS", "https://{host}"),
        ("a whole URL in capitals", "HTTP://LOCALHOST"),
        ("a whole URL of another host", "http://example.com:80"),
    ):
        yield served("I8, I9, I11", what, head("GET", f"{target}{ONE}"), read)
    sent = head("OPTIONS", "http://{host}")
    yield served("I11", "a URL without a path", sent, Answer(204, has_body=False))
    yield served("I11", "OPTIONS of everything", head("OPTIONS", "*"), no_resource)
    yield served("I8, I11", "an empty line before", b"\r\n" + head("GET", ONE), read)
    yield from last("I8, I9, I11", "HTTP/1.0", head("GET", ONE, version="1.0"), read)
    for path in ("//{host}" + ONE, "/x/.." + ONE, "/." + ONE, "/payments;a=b", "/http://{host}" + ONE):
        yield Exchange("I8, I11", f"the path {path}", (head("GET", path), no_resource, READ, NOBODY))


def _hosts() -> Iterator[Exchange]:
    """With tokens any host is served that can be read, and what a browser says of a page is passed over."""
    invalid, read = Answer(400, "invalid_host"), found("GET")
    for what, host in _INVALID_HOSTS.items():
        yield served("I11", what, head("GET", ONE, first=host + RIGHT), invalid)
        sent = head("GET", ONE, version="1.0", first=host + RIGHT)
        yield from last("I11", f"{what}, in HTTP/1.0", sent, invalid)
    yield served("I11", "no host", head("GET", ONE, first=RIGHT), invalid)
    yield from last("I11", "no host, in HTTP/1.0", head("GET", ONE, version="1.0", first=RIGHT), read)
    for what, authority in (("a name before its host", "user@{host}"), ("no port", "localhost:x")):
        sent = head("GET", f"http://{authority}{ONE}")
        yield served("I2, I11", f"a whole URL with {what}", sent, invalid)
    url = f"http://{{host}}{ONE}"
    yield served("I11", "a whole URL, and no Host", head("GET", url, first=RIGHT), invalid)
    two = head("GET", url, first=HOST + b"Host: example.com\r\n" + RIGHT)
    yield served("I11", "a whole URL, and two hosts", two, invalid)
    sent = head("GET", url, version="1.0", first=RIGHT)
    yield from last("I11", "a whole URL, and no Host, in HTTP/1.0", sent, read)
    sent = head("GET", url, first=b"Host: a b\r\n" + RIGHT)
    yield served("I11", "a whole URL, and a Host that does not count", sent, read)
    for fields in (
        b"Host: example.com\r\n",
        b"hOST:localhost \t\r\n",
        b"Host: [2001:db8::1]:65535\r\n",
        HOST + b"Origin: null\r\n",
        HOST + b"Origin: https://example.com\r\nSec-Fetch-Site: cross-site\r\n",
    ):
        what = f"with tokens, {fields.decode()!r}"
        yield served("I11", what, head("GET", ONE, first=fields + RIGHT), read)
