"""Requests that are written out, byte by byte, and the answer that the contract has for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Fields: TypeAlias = tuple[tuple[str, bytes], ...]

JSON: Fields = (("Content-Type", b"application/json"),)
PAYMENT, PENDING, UNKNOWN = "{payment}", "{pending}", "{unknown}"
"""What stands in a path for an authorized payment of 500 cents, for a pending one, and for an id of none."""

_CAPTURES, _FAIL = f"/payments/{PAYMENT}/captures", f"/payments/{PAYMENT}/fail"
_CREATE, _AUTHORIZE = f"/payments/{UNKNOWN}", f"/payments/{PENDING}/authorize"
_KEY: Fields = (("Idempotency-Key", b"written"),)
_RIGHT = b'{"amount_cents": 500}'
_WRONG_AMOUNT = b'{"amount_cents": 501}'  # what is decided under a key that is none is a refusal
BODY_LIMIT = 16 * 1024


@dataclass(frozen=True)
class Written:
    """A request, and what it has to be answered.

    Attributes:
        breaks: the invariants that another answer breaks.
        problem: the problem type of the answer; empty if it is none.
        body: its bytes; ``None`` for no body.
        shows: header fields of the answer beside those that every such answer has, by name in lower case.
    """

    breaks: str
    method: str
    path: str
    status: int
    problem: str = ""
    fields: Fields = ()
    body: bytes | None = None
    shows: tuple[tuple[str, str], ...] = field(default=())

    def __str__(self) -> str:
        """The request, for people."""
        fields = "".join(f", {name}: {value!r}" for name, value in self.fields)
        body = "" if self.body is None else f", {self.body[:80]!r}" + "…" * (len(self.body) > 80)
        return f"{self.method} {self.path}{fields}{body}"


def requests() -> Iterator[Written]:
    """All of them, and none changes anything."""
    yield from _bodies()
    yield from _media_types()
    yield from _keys()
    yield from _ids()
    yield from _pages()
    yield from _methods()


_NO_JSON = (
    b"",
    b" ",
    b"{",
    b"\xef\xbb\xbf%s",  # a byte order mark
    b"%s{}",
    b"%s,",
    b"%s\x00",
    b"//\n%s",
    b'{"amount_cents": 500,}',
    b'{"amount_cents": 0500}',
    b'{"amount_cents": +500}',
    b'{"amount_cents": 500_0}',
    b'{"amount_cents": .5}',
    b'{"amount_cents": NaN}',
    b'{"amount_cents": Infinity}',
    b"{'amount_cents': 500}",
    b"{amount_cents: 500}",
    b"amount_cents=500",
)
"""What is no JSON, though many read it as such; ``%s`` stands for a right body."""

OF_ANOTHER_SHAPE = (
    b"null",
    b"500",
    b"[]",
    b"[%s]",
    b"{}",
    b"[" * 40 + b"]" * 40,
    b'{"amount": 500}',
    b'{"AMOUNT_CENTS": 500}',
    b'{"amount_cents ": 500}',
    b'{"amount_cents": 500, "currency": "JPY"}',
    b'{"amount_cents": 500, "amountCents": 5}',
    b'{"amount_cents": 500, "": null}',
    b'{"amount_cents": 500, "__proto__": {"amount_cents": 1}}',
)
TWICE = (
    b'{"amount_cents": 500, "amount_cents": 500}',
    b'{"amount_cents": 1, "amount_cents": 500}',
    b'{"amount_cents": 500, "amount_cents": 1}',
    b'{"amount_cents": 1, "\\u0061mount_cents": 500}',
)
NO_AMOUNTS = (
    *(b"0", b"-0", b"-1", b"-500", b"500.5", b"1e400", b"1000000000000", b"9223372036854775808"),
    *(b"18446744073709552116", b"1" + b"0" * 400),  # 2^64 + 500
    *(b"null", b"true", b'"500"', b'""', b"[500]", b'{"cents": 500}'),
)
_NO_WINDOWS = (
    *(b"0", b"-1", b"0.5", b"1.5", b"2678401", b"31536000", b"4294967297", b"9223372036854775808", b"1e400"),
    *(b"null", b"true", b'"60"', b'"PT1M"', b"[60]"),
)
_NO_REASONS = (
    *(b'"expired"', b'"captured"', b'"Voided"', b'"VOIDED"', b'" voided"', b'"voided "', b'"void"', b'""'),
    *(b"null", b"1", b"true", b'["voided"]'),
)


def _bodies() -> Iterator[Written]:
    for method, path, fields in (("POST", _CAPTURES, _KEY), ("PUT", _CREATE, ()), ("POST", "/payments", ())):
        for body in _NO_JSON:
            written = body.replace(b"%s", _RIGHT)
            yield Written("I1, I4, I11", method, path, 400, "malformed_json", (*JSON, *fields), written)
        amounts = [b'{"amount_cents": %s}' % each for each in NO_AMOUNTS]
        for body in (*OF_ANOTHER_SHAPE, *TWICE, *amounts):
            written = body.replace(b"%s", _RIGHT)
            yield Written("I1, I4, I11", method, path, 422, "invalid_request", (*JSON, *fields), written)
        long = _RIGHT + b" " * (BODY_LIMIT + 1 - len(_RIGHT))
        yield Written("I11", method, path, 413, "body_too_large", (*JSON, *fields), long)
    for field_name, path, right, values in (
        (b"capture_window_seconds", _AUTHORIZE, b"60", _NO_WINDOWS),
        (b"reason", _FAIL, b'"voided"', _NO_REASONS),
    ):
        bodies = [b'{"%s": %s}' % (field_name, value) for value in values]
        bodies += [b'{"%s": %s, "%s": %s}' % (field_name, right, field_name, right)]
        bodies += [b'{"%s": %s, "more": 1}' % (field_name, right), b"{}", b"null"]
        for body in bodies:
            yield Written("I2, I5, I11", "POST", path, 422, "invalid_request", JSON, body)
    right_size = _RIGHT + b" " * (BODY_LIMIT - len(_RIGHT))
    for body in (_RIGHT, b' \r\n\t{ "amount_cents"\n:500 }\n', b'{"\\u0061mount_cents":500}', right_size):
        yield Written("I11", "PUT", f"/payments/{PAYMENT}", 200, "", JSON, body)


_MEDIA_TYPES = (
    *(b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/jsonp"),
    *(b"text/json", b"application/problem+json", b"application", b"", b"*/*"),
    *(
        b"application/json; charset=utf-16",
        b"application/json;charset=latin1",
        b"application/json, text/plain",
    ),
)
_TWO_TYPES: tuple[Fields, ...] = (
    (*JSON, ("Content-Type", b"text/plain")),
    (("Content-Type", b"text/plain"), *JSON),
)


def _media_types() -> Iterator[Written]:
    for method, path, fields in (("POST", _CAPTURES, _KEY), ("PUT", _CREATE, ())):
        of_other_types = [(("Content-Type", each),) for each in _MEDIA_TYPES]
        encoded = [(*JSON, ("Content-Encoding", each)) for each in (b"gzip", b"br", b"identity, gzip", b"x")]
        for types in ((), (*JSON, *JSON), *_TWO_TYPES, *encoded, *of_other_types):
            yield Written("I11", method, path, 415, "unsupported_media_type", (*types, *fields), _RIGHT)
    for right in (b"application/json; charset=utf-8", b'Application/JSON;charset="UTF-8"'):
        yield Written("I11", "PUT", f"/payments/{PAYMENT}", 200, "", (("Content-Type", right),), _RIGHT)


_NO_KEYS = (
    *(b"", b'""', b"k" * 256, b'"%s"' % (b"k" * 256), b"a\tb"),
    *(b'"k', b'"k"k', b'"a"b"', b'"a\\b"', b'"k", "k"'),
    *("é".encode(), "é".encode("latin-1"), b"\xaa", b"k\xa0", b"\xbd"),  # some are ASCII once normalized
    *("k\u200b".encode(), "\ufeffk".encode(), "ｋ".encode(), "e\u0301".encode()),
)


def _keys() -> Iterator[Written]:
    def asked(problem: str, *keys: bytes) -> Written:
        fields = (*JSON, *(("Idempotency-Key", key) for key in keys))
        return Written("I3, I4, I11", "POST", _CAPTURES, 400, problem, fields, _WRONG_AMOUNT)

    yield asked("idempotency_key_missing")
    for key in _NO_KEYS:
        yield asked("idempotency_key_malformed", key)
    yield asked("idempotency_key_malformed", b"k1", b"k2")
    yield asked("idempotency_key_malformed", b"k1", b"k1")
    # The key comes before the body: what else is wrong is not looked at.
    for fields, body in ((JSON, b"{"), (JSON, b"{}"), ((), _RIGHT)):
        refused = 400, "idempotency_key_missing"
        yield Written("I4, I11", "POST", _CAPTURES, *refused, fields, body)


_NO_IDS = (
    *("0b9f5d1c6f5c4a5e9a398a3f4f1f2f0e", "{0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e}", "1", "null", "x" * 36),
    *("0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0", "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e0"),
    *("0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e.", "urn:uuid:0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e"),
    *("0b9f5d1c6-f5c-4a5e-9a39-8a3f4f1f2f0e", "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0g"),
)


def _ids() -> Iterator[Written]:
    refused = 400, "invalid_payment_id"
    for each in _NO_IDS:
        yield Written("I8, I11", "GET", f"/payments/{each}", *refused)
        yield Written("I8, I11", "PUT", f"/payments/{each}", *refused, JSON, _RIGHT)
        yield Written("I8, I11", "POST", f"/payments/{each}/captures", *refused, (*JSON, *_KEY), _RIGHT)
    for end, method, body in (("/captures", "GET", None), ("/fail", "POST", b"{}")):
        # The id comes first: what else is wrong is not looked at.
        yield Written("I8, I11", method, f"/payments/1{end}", *refused, JSON if body else (), body)


_OTHER_DIGITS = ("%C2%B2", "%D9%A1", "%EF%BC%91", "%2B1", "1%20", "1_0")
"""What ``isdigit`` or ``int`` of a language may take for a number: ², ١, １, +1, a space, an underscore."""


def _pages() -> Iterator[Written]:
    limits = ("0", "201", "-1", "1.0", "", "ten", "1e1", "00001", "99999999999999999999", *_OTHER_DIGITS)
    refused = [f"limit={each}" for each in limits] + ["limit=1&limit=2", "more=1", "Limit=1", "offset=1"]
    places = ["after=", "after=x", "after=1&after=2"]
    for path, wrong in (
        ("/payments", [*places, "after=AAAA", "after=" + "A" * 33, "after=" + "_" * 32]),
        (_CAPTURES, [*places, "after=-1", "after=2147483648", "after=1.0", f"after={_OTHER_DIGITS[0]}"]),
    ):
        for query in (*refused, *wrong):
            yield Written("I8, I11", "GET", f"{path}?{query}", 422, "invalid_query")
    for query in ("", "?after=0", "?after=1&limit=1"):
        path = f"/payments/{UNKNOWN}/captures{query}"
        yield Written("I8, I11", "GET", path, 404, "payment_not_found")


def _methods() -> Iterator[Written]:
    for path, methods in (
        ("/payments", ("GET", "HEAD", "OPTIONS", "POST")),
        (f"/payments/{PAYMENT}", ("GET", "HEAD", "OPTIONS", "PUT")),
        (_CAPTURES, ("GET", "HEAD", "OPTIONS", "POST")),
        (_FAIL, ("OPTIONS", "POST")),
        (_AUTHORIZE, ("OPTIONS", "POST")),
    ):
        allow = (("allow", ", ".join(methods)),)
        yield Written("I8, I11", "OPTIONS", path, 204, shows=allow)
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE"}.difference(methods):
            yield Written("I8, I11", method, path, 405, "http_405", shows=allow)
        asked_before = (("Origin", b"https://example.com"), ("Access-Control-Request-Method", b"POST"))
        yield Written("I8, I11", "OPTIONS", path, 204, fields=asked_before, shows=allow)
    yield from _other_spellings()


def _other_spellings() -> Iterator[Written]:
    """Each resource has one spelling."""
    captures = f"/payments/{PAYMENT}/captures"
    for path in (f"/payments/{PAYMENT}", captures, _FAIL, _AUTHORIZE, "/payments"):
        for method in ("GET", "POST", "PUT"):
            fields = (*JSON, *_KEY) if method != "GET" else ()
            body = b"{}" if fields else None
            yield Written("I8, I11", method, f"{path}/", 404, "http_404", fields, body)
    for path in (f"/payments/{PAYMENT}/capture", "/payment", "/Payments", f"//payments/{PAYMENT}"):
        yield Written("I8, I11", "GET", path, 404, "http_404")
    for path in (f"/%70ayments/{PAYMENT}", f"/payments/{PAYMENT}/%63aptures", f"/payments%2F{PAYMENT}"):
        yield Written("I8, I11", "GET", path, 404, "http_404")
    for path in (
        f"/payments/{PAYMENT}%2Fcaptures",
        f"/payments/{PAYMENT}%3Flimit=1",
        f"/payments/%20{PAYMENT}",
    ):
        yield Written("I8, I11", "GET", path, 400, "invalid_payment_id")
    for path in (f"/payments/{PAYMENT}", "/payments?limit=200"):
        yield Written("I3, I8", "GET", path, 200)
