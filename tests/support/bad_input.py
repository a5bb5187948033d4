"""Requests with something wrong in them, and what the answer has to say about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

HEADERS = [(b"content-type", b"application/json")]
KEY = [(b"idempotency-key", b"new-key")]
GOOD = b'{"amount_cents": 500}'
UNKNOWN_ID = "/payments/00000000-0000-4000-8000-000000000000"
BODY_LIMIT = 16 * 1024


@dataclass(frozen=True)
class BadRequest:
    """A request that is refused.

    Attributes:
        name: what is wrong, as the test's name.
        method: the HTTP method.
        path: the target; ``{payment}`` stands for the path of an authorized payment.
        content: the body.
        headers: the header fields, as they are sent.
        status: the status of the answer.
        problem: the last part of the answer's ``type``.
        says: what the answer's ``detail`` has in it.
    """

    name: str
    method: str
    path: str
    content: bytes
    status: int
    problem: str
    says: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [*HEADERS, *KEY])


# Not JSON at all.
_MALFORMED = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "truncated"),
    "half": (b'{"amount_cents": 5', "truncated"),
    "no JSON": (b"amount_cents=500", "invalid character"),
    "a comma too many": (b'{"amount_cents": 500,}', "trailing comma"),
    "single quotes": (b"{'amount_cents': 500}", "must be strings"),
    "a leading zero": (b'{"amount_cents": 0500}', "invalid number"),
    "a plus sign": (b'{"amount_cents": +500}', "invalid character"),
    "NaN": (b'{"amount_cents": NaN}', "invalid character"),
    "hexadecimal": (b'{"amount_cents": 0x1F4}', "expected ',' or '}'"),
    "hexadecimal, negative": (b'{"amount_cents": -0x1F4}', "expected ',' or '}'"),
    "octal": (b'{"amount_cents": 0o764}', "expected ',' or '}'"),
    "binary": (b'{"amount_cents": 0b111}', "expected ',' or '}'"),
    "two points": (b'{"amount_cents": 1.5.5}', "expected ',' or '}'"),
    "a point and no digit": (b'{"amount_cents": 500.}', "invalid number"),
    "a letter after zero": (b'{"amount_cents": 0n}', "expected ',' or '}'"),
    "an underscore in what is too much": (b'{"amount_cents": 9_000_000_000_000}', "expected ',' or '}'"),
    "a comma in what is too much": (b'{"amount_cents": 9000000000000,5}', "not JSON"),
    "too much, and a letter": (b'{"amount_cents": 9000000000000n}', "expected ',' or '}'"),
    "too much, and an exponent without digits": (b'{"amount_cents": 9000000000000e}', "invalid number"),
    "out of range, and a letter": (b'{"amount_cents": 1e400n}', "expected ',' or '}'"),
    "too little, and cut off": (b'{"amount_cents": 0 ', "truncated"),
    "too little, and more behind": (b'{"amount_cents": 0} 1', "trailing characters"),
    "text, and a letter": (b'{"amount_cents": "500"n}', "expected ',' or '}'"),
    "another field, and no number": (b'{"amount": 0x1F4}', "expected ',' or '}'"),
    "another field, in invalid UTF-8": (b'{"amount_cents": 0, "a": "\xff"}', "utf-8"),
    "two documents": (GOOD + GOOD, "trailing characters"),
    "a NUL after": (GOOD + b"\x00", "trailing characters"),
    "a comment": (b"/**/" + GOOD, "invalid character"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "byte 0"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "byte 0"),
    "a name in invalid UTF-8": (b'{"\xff\xfe": 500}', "utf-8"),
    "half a surrogate pair": (b'{"\\ud800": 500}', "not JSON"),
    "half a surrogate pair, and a letter": (b'{"\\ud800\\u0041": 500}', "not JSON"),
    "compressed": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "invalid character"),
}
# JSON, but no amount.
_INVALID = {
    "a list": (b"[500]", "got `array`"),
    "a number alone": (b"500", "got `int`"),
    "a string alone": (b'"500"', "got `str`"),
    "null": (b"null", "got `null`"),
    "deep lists": (b"[" * 8_000 + b"]" * 8_000, "got `array`"),
    "deep objects": (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "unknown field `a`"),
    "a deep amount": (b'{"amount_cents":' + b"[" * 8_000 + b"]" * 8_000 + b"}", "got `array`"),
    "no field": (b"{}", "missing required field `amount_cents`"),
    "another field": (b'{"amount": 500}', "unknown field `amount`"),
    "a field too many": (b'{"amount_cents": 500, "currency": "EUR"}', "unknown field `currency`"),
    "the field in another case": (b'{"Amount_Cents": 500}', "unknown field"),
    "a field with a NUL": (b'{"a\\u0000": 500}', "unknown field"),
    "the field twice": (b'{"amount_cents": 500, "amount_cents": 500}', "`amount_cents` more than once"),
    "the field twice, spelt otherwise": (
        b'{"amount_cents": 500, "amount\\u005fcents": 1}',
        "`amount_cents` more than once",
    ),
    "an object": (b'{"amount_cents": {}}', "got `object`"),
    "true": (b'{"amount_cents": true}', "got `bool`"),
    "a null amount": (b'{"amount_cents": null}', "got `null`"),
    "a string": (b'{"amount_cents": "1"}', "got `str`"),
    "an empty string": (b'{"amount_cents": ""}', "got `str`"),
    "1.0": (b'{"amount_cents": 1.0}', "got `float`"),
    "1.5": (b'{"amount_cents": 1.5}', "got `float`"),
    "1e3": (b'{"amount_cents": 1e3}', "got `float`"),
    "1e400": (b'{"amount_cents": 1e400}', "out of range"),
    "0": (b'{"amount_cents": 0}', ">= 1"),
    "-0": (b'{"amount_cents": -0}', ">= 1"),
    "-500": (b'{"amount_cents": -500}', ">= 1"),
    "one too many": (b'{"amount_cents": 1000000000000}', "<= 999999999999"),
    "2^63 - 1": (b'{"amount_cents": 9223372036854775807}', "<= 999999999999"),
    "2^63": (b'{"amount_cents": 9223372036854775808}', "<= 999999999999"),
    "-2^63": (b'{"amount_cents": -9223372036854775808}', ">= 1"),
    "2^64": (b'{"amount_cents": 18446744073709551616}', "<= 999999999999"),
    "5,000 digits": (b'{"amount_cents": ' + b"9" * 5_000 + b"}", "out of range"),
}
_WINDOWS = {
    "window 0": (b"0", ">= 1"),
    "window -1": (b"-1", ">= 1"),
    "window one second too long": (b"2678401", "<= 2678400"),
    "window 2^64": (b"18446744073709551616", "<= 2678400"),
    "window true": (b"true", "got `bool`"),
    "window 1.0": (b"1.0", "got `float`"),
    "window as text": (b'"PT1H"', "got `str`"),
    "window null": (b"null", "got `null`"),
}
_REASONS = {
    "reason expired": (b'"expired"', "Invalid enum value"),
    "reason empty": (b'""', "Invalid enum value"),
    "reason in another case": (b'"Voided"', "Invalid enum value"),
    "reason with a line break": (b'"voided\\n"', "Invalid enum value"),
    "reason in invalid UTF-8": (b'"\xff"', "utf-8"),
    "reason null": (b"null", "got `null`"),
    "reason as a list": (b'["voided"]', "got `array`"),
}
_BAD_IDS = {
    "a number": "1",
    "braces": "{00000000-0000-4000-8000-000000000000}",
    "urn": "urn:uuid:00000000-0000-4000-8000-000000000000",
    "no dashes": "00000000000040008000000000000000",
    "dashes elsewhere": "0000000-00000-4000-8000-000000000000",
    "a letter too far": "0000000g-0000-4000-8000-000000000000",
    "one digit more": "00000000-0000-4000-8000-0000000000000",
    "one digit less": "00000000-0000-4000-8000-00000000000",
    "a space after": "00000000-0000-4000-8000-000000000000%20",
    "a line break after": "00000000-0000-4000-8000-000000000000%0A",
    "a NUL": "%00",
    "other digits": "%D9%A0" * 8 + "-0000-4000-8000-000000000000",
    "invalid UTF-8": "%FF%FE",
    "SQL": "'%20OR%201=1--",
    "very long": "a" * 2_000,
}
_BAD_KEYS = {
    "empty": ([b""], "empty"),
    "blank": ([b" \t "], "empty"),
    "empty in quotes": ([b'""'], "empty"),
    "256 characters": ([b"k" * 256], "at most 255 characters, not 256"),
    "256 characters in quotes": ([b'"' + b"k" * 256 + b'"'], "at most 255 characters, not 256"),
    "UTF-8": (["clé".encode()], "visible ASCII"),
    "Latin-1": ([b"cl\xe9"], "visible ASCII"),
    "a tab within": ([b"a\tb"], "visible ASCII"),
    "a quote that is not closed": ([b'"abc'], "quoted string"),
    "a quote alone": ([b'"'], "quoted string"),
    "text after the quote": ([b'"abc"d'], "quoted string"),
    "a parameter": ([b'"abc";v=1'], "quoted string"),
    "two items": ([b'"abc", "def"'], "quoted string"),
    "an escape that is none": ([rb'"a\bc"'], "quoted string"),
    "an escaped end": ([rb'"abc\"'], "quoted string"),
    "UTF-8 in quotes": (['"clé"'.encode()], "quoted string"),
    "twice": ([b"abc", b"abc"], "once"),
    "twice, differing": ([b"abc", b"def"], "once"),
}
_QUERIES = {
    "limit 0": ("limit=0", "from 1 to 200"),
    "limit 201": ("limit=201", "from 1 to 200"),
    "limit -1": ("limit=-1", "from 1 to 200"),
    "limit +1": ("limit=%2B1", "from 1 to 200"),
    "limit abc": ("limit=abc", "from 1 to 200"),
    "limit empty": ("limit=", "from 1 to 200"),
    "limit 1.0": ("limit=1.0", "from 1 to 200"),
    "limit with a space": ("limit=%2010", "from 1 to 200"),
    "limit in other digits": ("limit=%D9%A1", "from 1 to 200"),
    "limit 10^30": ("limit=1" + "0" * 30, "from 1 to 200"),
    "limit twice": ("limit=1&limit=2", "once"),
    "unknown": ("offset=1", "not offset"),
    "unknown beside known": ("limit=1&sort=asc", "not sort"),
    "known in another case": ("Limit=1", "not Limit"),
    "cursor empty": ("after=", "from an earlier page"),
    "cursor no base64": ("after=!!!", "from an earlier page"),
    "cursor too short": ("after=AAAA", "from an earlier page"),
    "cursor too long": ("after=" + "A" * 36, "from an earlier page"),
    "cursor cut": ("after=" + "A" * 31, "from an earlier page"),
    "cursor not ASCII": ("after=%C3%A9", "from an earlier page"),
    "cursor with a NUL": ("after=%00", "from an earlier page"),
    "cursor before 1970": ("after=" + "_" * 32, "from an earlier page"),
    "cursor after the year 9999": ("after=f" + "_" * 31, "from an earlier page"),
    "cursor of a payment": ("after=00000000-0000-4000-8000-000000000000", "from an earlier page"),
}


def _bodies() -> Iterator[BadRequest]:
    for bodies, status, problem in ((_MALFORMED, 400, "malformed_json"), (_INVALID, 422, "invalid_request")):
        for name, (content, says) in bodies.items():
            yield BadRequest(f"create: {name}", "POST", "/payments", content, status, problem, says)
            yield BadRequest(f"put: {name}", "PUT", UNKNOWN_ID, content, status, problem, says)
            yield BadRequest(f"capture: {name}", "POST", "{payment}/captures", content, status, problem, says)
    for values, action, name_of in (
        (_WINDOWS, "authorize", b"capture_window_seconds"),
        (_REASONS, "fail", b"reason"),
    ):
        for name, (value, says) in values.items():
            invalid_text = says == "utf-8"
            yield BadRequest(
                f"{action}: {name}",
                "POST",
                f"{{payment}}/{action}",
                b'{"%s": %s}' % (name_of, value),
                400 if invalid_text else 422,
                "malformed_json" if invalid_text else "invalid_request",
                says,
            )


def _ids() -> Iterator[BadRequest]:
    for name, text in _BAD_IDS.items():
        for method, suffix in (
            ("GET", ""),
            ("PUT", ""),
            ("GET", "/captures"),
            ("POST", "/captures"),
            ("POST", "/authorize"),
            ("POST", "/fail"),
        ):
            path = f"/payments/{text}{suffix}"
            yield BadRequest(
                f"{method} {suffix} id: {name}", method, path, GOOD, 400, "invalid_payment_id", "UUID"
            )


def _keys() -> Iterator[BadRequest]:
    path = "{payment}/captures"
    yield BadRequest(
        "key: none", "POST", path, GOOD, 400, "idempotency_key_missing", "Idempotency-Key", HEADERS
    )
    for name, (values, says) in _BAD_KEYS.items():
        headers = [*HEADERS, *((b"idempotency-key", value) for value in values)]
        yield BadRequest(f"key: {name}", "POST", path, GOOD, 400, "idempotency_key_malformed", says, headers)


def _queries() -> Iterator[BadRequest]:
    for name, (query, says) in _QUERIES.items():
        yield BadRequest(f"query: {name}", "GET", f"/payments?{query}", b"", 422, "invalid_query", says)


_OTHER_TYPES = (
    *(b"text/plain", b"application/x-www-form-urlencoded", b"text/json", b"", b"*/*", b"application/jsonp"),
    *(
        b"application/json, text/plain",
        b"application/json;charset=utf-16",
        b"application/json; Charset=latin1",
    ),
    *(b'application/json; v=1; charset="utf-16"', b"application/json;charset=utf-8;charset=utf-16"),
    b"application/json; charset=utf-8x",
)


def _bodies_as_a_whole() -> Iterator[BadRequest]:
    requests = (("POST", "/payments"), ("PUT", UNKNOWN_ID), ("POST", "{payment}/captures"))
    large = GOOD + b" " * (BODY_LIMIT + 1 - len(GOOD))
    for method, path in requests:
        yield BadRequest(
            f"{method} {path} too large", method, path, large, 413, "body_too_large", f"{BODY_LIMIT} bytes"
        )
        for content_type in _OTHER_TYPES:
            yield BadRequest(
                f"{method} {path} as {content_type.decode() or 'nothing'}",
                method,
                path,
                GOOD,
                415,
                "unsupported_media_type",
                "application/json",
                [(b"content-type", content_type), *KEY],
            )
        yield BadRequest(
            f"{method} {path} without a type", method, path, GOOD, 415, "unsupported_media_type", "json", KEY
        )


def _precedence() -> Iterator[BadRequest]:
    """Where several things are wrong, the id comes first, then the key, then the body."""
    bad_id, nothing = "/payments/1/captures", f"{UNKNOWN_ID}/captures"
    yield BadRequest("id before key", "POST", bad_id, b"", 400, "invalid_payment_id", "UUID", [])
    yield BadRequest("key before body", "POST", nothing, b"", 400, "idempotency_key_missing", "new key", [])
    yield BadRequest("body before lookup", "POST", nothing, b"{", 400, "malformed_json", "truncated")


BAD_REQUESTS: list[BadRequest] = list(
    chain(_bodies(), _ids(), _keys(), _queries(), _bodies_as_a_whole(), _precedence())
)


def names(requests: Iterable[BadRequest]) -> list[str]:
    """Their names, for the tests."""
    return [request.name for request in requests]
