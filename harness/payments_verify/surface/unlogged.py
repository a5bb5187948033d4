"""What no process may print, whatever becomes of a request: keys, tokens, paths, bodies, passwords."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from uuid import uuid4

from payments_verify.surface.exchange import Answer, Exchange, Step
from payments_verify.surface.written import BODY_LIMIT, JSON, UNKNOWN, Fields

_AROUND = 200
_HTTP = "HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\n"


def _secret() -> str:
    return f"s{uuid4().hex}"


@dataclass(frozen=True)
class Secrets:
    """Texts that stand nowhere but where a request, or a setting, has them.

    Attributes:
        key: an idempotency key, or a part of what is none.
        token: of a client; the service does not know it.
        path: a part of a path, or of its query.
        body: a part of a body.
        fields: a value of other header fields.
        payment: the id of a payment.
        other_payment: that of another, of which all is done that can be done.
        password: of the database.
        own_token: a token that the service knows.
    """

    key: str = field(default_factory=_secret)
    token: str = field(default_factory=_secret)
    path: str = field(default_factory=_secret)
    body: str = field(default_factory=_secret)
    fields: str = field(default_factory=_secret)
    payment: str = field(default_factory=lambda: str(uuid4()))
    other_payment: str = field(default_factory=lambda: str(uuid4()))
    password: str = field(default_factory=_secret)
    own_token: str = field(default_factory=_secret)

    def found_in(self, printed: str) -> str | None:
        """What a process has printed of them, and the invariants that this breaks; ``None`` if nothing."""
        told = {name: printed.find(text) for name, text in asdict(self).items() if text in printed}
        if not told:
            return None
        at = min(told.values())
        broken = ["I3"] * ("key" in told) + ["I11"] * (told.keys() != {"key"})
        shown = printed[max(0, at - _AROUND) : at + _AROUND]
        return f"{', '.join(broken)}: a process has printed the {', the '.join(sorted(told))}: … {shown} …"


@dataclass(frozen=True)
class Asked:
    """A request with secrets in it.

    Attributes:
        token: what stands in ``Authorization``; ``None`` for what is right there.
    """

    method: str
    path: str
    fields: Fields = ()
    body: bytes | None = None
    token: bytes | None = None


def requests(secrets: Secrets) -> Iterator[Asked]:
    """Requests that are served, refused and malformed; the first creates the payment."""
    payment, body = f"/payments/{secrets.payment}", secrets.body.encode()
    more: Fields = tuple(
        (name, secrets.fields.encode())
        for name in ("Cookie", "User-Agent", "Referer", "X-Forwarded-For", "X-Own")
    )
    right, captures = b'{"amount_cents": 500}', f"{payment}/captures"
    keyed: Fields = (*JSON, ("Idempotency-Key", secrets.key.encode()), *more)
    yield Asked("PUT", payment, (*JSON, *more), right)
    yield from _served(f"/payments/{secrets.other_payment}", keyed, right)
    yield Asked("POST", captures, keyed, body + b" " * BODY_LIMIT)
    yield Asked("GET", payment, (("Host", secrets.fields.encode()),))
    for amount in (500, 500, 501):  # refused, refused again, and refused for the key
        yield Asked("POST", captures, keyed, b'{"amount_cents": %d}' % amount)
    for text in (b'"' + body, b'{"%b": 1}' % body, b'{"amount_cents": "%b"}' % body, body + b"\xff", b""):
        yield Asked("POST", captures, keyed, text)
    for key in (f'"{secrets.key}', f"{secrets.key}\x80", secrets.key * 9):
        yield Asked("POST", captures, (*JSON, ("Idempotency-Key", key.encode("latin-1"))), right)
    yield Asked("POST", captures, (*keyed, keyed[1]), right)
    yield Asked("POST", captures, (("Content-Type", secrets.fields.encode()), *keyed[1:]), right)
    for end in ("authorize", "fail", secrets.path):
        yield Asked("POST", f"{payment}/{end}", JSON, b'{"reason": "%b"}' % body)
    for path in (
        secrets.path,
        f"payments/{secrets.path}",
        f"static/{secrets.path}",
        f"problems/{secrets.path}",
    ):
        yield Asked("GET", f"/{path}", more)
        yield Asked("DELETE", f"/{path}?{secrets.path}={secrets.path}", more)
    for query in (f"{secrets.path}=1", f"limit={secrets.path}", f"after={secrets.path}"):
        yield Asked("GET", f"/payments?{query}")
        yield Asked("GET", f"{captures}?{query}")
        yield Asked("GET", f"/metrics?{query}")
    for request_id in (f"-{secrets.fields}", f'{secrets.fields}"', f"{secrets.fields} x"):
        yield Asked("GET", payment, (("X-Request-ID", request_id.encode()),))
    for value in (f"Bearer {secrets.token}", f"Basic {secrets.token}", secrets.token):
        yield Asked("GET", payment, token=value.encode())
    yield Asked("GET", payment, tuple((f"{secrets.fields}-{number}", b"1") for number in range(101)))


def _served(payment: str, keyed: Fields, right: bytes) -> Iterator[Asked]:
    """All that can be done with a payment, and again."""
    for method, end, body in (
        *(
            ("PUT", "", right),
            ("PUT", "", right),
            ("POST", "/authorize", b'{"capture_window_seconds": 86400}'),
        ),
        *(("POST", "/captures", right), ("POST", "/captures", right), ("POST", "/captures", b"{}")),
        *(("GET", "", None), ("GET", "/captures", None), ("OPTIONS", "", None)),
    ):
        yield Asked(method, f"{payment}{end}", keyed if body else keyed[2:], body)


def of_another_scope(secrets: Secrets, tokens: Mapping[str, str]) -> Iterator[Asked]:
    """Requests that a token is not for.

    Args:
        secrets: in them.
        tokens: a token of each scope alone, by the scope's name.
    """
    payment, value = f"/payments/{secrets.payment}", secrets.fields.encode()
    for method, end, scope in (("GET", "", "write"), ("PUT", "", "read"), ("POST", "/captures", "metrics")):
        fields: Fields = (*JSON, ("Idempotency-Key", secrets.key.encode()), ("Cookie", value))
        body = b'{"%b": 1}' % secrets.body.encode() if method != "GET" else None
        token = f"Bearer {tokens[scope]}".encode()
        yield Asked(method, f"{payment}{end}?{secrets.path}", fields, body, token)


def on_the_wire(secrets: Secrets) -> Iterator[Exchange]:
    """What is no HTTP, or ends too soon, with secrets in it."""
    path, body = f"/payments/{UNKNOWN}?{secrets.path}", secrets.body
    put = f"PUT {path} {_HTTP}Content-Type: application/json\r\n"
    no_http = Answer(400, "malformed_http")
    for what, text in (
        ("another version", f"GET {path} HTTP/9.9\r\n\r\n"),
        ("a line of three words", f"{secrets.path} {secrets.path} {secrets.path}\r\n\r\n"),
        ("a field without a colon", f"GET {path} {_HTTP}{secrets.fields}\r\n\r\n"),
        ("a length that is none", f"{put}Content-Length: {secrets.fields}\r\n\r\n{body}"),
        ("chunks that are none", f"{put}Transfer-Encoding: chunked\r\n\r\n{body}\r\n"),
    ):
        yield _exchange(what, text.encode(), no_http)
    large = f"GET {path}{secrets.path * 600} {_HTTP}\r\n".encode()
    yield _exchange("a target that is too large", large, Answer(431, "head_too_large"))
    cut = f"{put}Content-Length: 99\r\n\r\n{body}".encode()
    yield _exchange("a body that ends too soon", cut)


def _exchange(what: str, *steps: Step) -> Exchange:
    return Exchange("I11", what, steps)
