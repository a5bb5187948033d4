"""Who is served, by both ends of the connection, as any ASGI server may tell of them: see operations.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from payments_verify.surface.answers import complaints, problem_of
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.whole.application import WholeApplication, whole_application
from payments_verify.systems.whole.asked import CREATE, Request

_End: TypeAlias = tuple[str, int | None] | None
_OWN = ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1")
_FOREIGN = (
    *("10.0.0.8", "172.17.0.1", "192.168.1.2", "169.254.0.1", "203.0.113.9", "128.0.0.1", "0.0.0.0"),  # noqa: S104 - nothing is bound
    *("::", "fe80::1%eth0", "fd00::1", "2001:db8::1", "::ffff:10.0.0.8", "::7f00:1", "127.0.0.1.example.com"),
)
_UNIX: tuple[_End, _End] = (None, ("/run/payments.sock", None))
_AT: _End = ("127.0.0.1", 80)
_REQUESTS = (CREATE, Request("GET", "/payments"), Request("GET", "/healthz"))
_STATUS: Mapping[str, int] = {"POST": 201, "GET": 200}
_ORIGINS = (("http", "http", ""), ("https", "https", ""), ("http", "https", "foreign_origin"))
"""The scheme of a connection, that of the origin of a page of this site, and the problem."""
_APPLICATIONS: Mapping[str, tuple[bool, Mapping[str, Any]]] = {
    "without tokens": (True, {"tokens": ""}),
    "with tokens, for its own machine": (True, {"is_for_this_machine": True}),
    "for its own machine, and PAYMENTS_ALLOW_UNAUTHENTICATED=yes": (
        True,
        {"tokens": "", "is_for_this_machine": True, "allow_unauthenticated": True},
    ),
    "with PAYMENTS_ALLOW_UNAUTHENTICATED=yes": (False, {"tokens": "", "allow_unauthenticated": True}),
    "with tokens": (False, {}),
}
"""Applications, and whether they serve their own machine alone."""


async def wrong_to_machines(dsn: str) -> str | None:
    """Which request of which machine is served, or refused, and should not be; ``None`` if none is.

    Args:
        dsn: a prepared database.
    """
    for told, (is_its_own_alone, settings) in _APPLICATIONS.items():
        async with whole_application(dsn, **settings) as app:
            for ends, is_local in _connections():
                problem = "not_local" if is_its_own_alone and not is_local else ""
                wrong = await _wrong(app, ends, problem)
                if wrong is not None:
                    return f"I2, I11: {told}, {wrong}"
            for scheme, of_page, problem in _ORIGINS if "tokens" in settings else ():
                ends = {"client": _AT, "server": _AT, "scheme": scheme}
                wrong = await _wrong(app, ends, problem, {"Origin": f"{of_page}://localhost"}, _REQUESTS[:2])
                if wrong is not None:
                    return f"I2, I11: {told}, {wrong}"
    return None


def _connections() -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Both ends of connections, and whether they are of the machine itself."""
    own, foreign = ([(each, 80) for each in many] for many in (_OWN, _FOREIGN))
    ends: list[tuple[_End, _End, bool]] = [
        (*_UNIX, True),
        *((client, server, True) for client, server in zip(own, reversed(own), strict=True)),
        *((client, _AT, False) for client in foreign),
        *((_AT, server, False) for server in (*foreign, ("payments", 80))),
        *((client, server, False) for client, server in ((None, _AT), (_AT, None), (None, None))),
    ]
    for client, server, is_local in ends:
        yield {"client": client, "server": server}, is_local


async def _wrong(
    app: WholeApplication,
    ends: Mapping[str, Any],
    problem: str,
    fields: Mapping[str, str] | None = None,
    requests: Sequence[Request] = _REQUESTS,
) -> str | None:
    """The first of the answers to these that is none of the problem; or of none, if it has no name."""
    fields = {"Host": "localhost", **(fields or {})}
    http = ApplicationClient(app.http.app, app.http.headers, ends)
    for each in requests:
        answer = await http.request(each.method, each.path, headers=fields, json=each.json)
        wanted = problem or _STATUS[each.method]
        found = problem_of(answer) or answer.status_code
        wrong = "; ".join(complaints(each.method, each.path, answer))
        if found != wanted or wrong:
            told = f"{each} with {fields} on a connection with {dict(ends)}"
            return f"{told}: expected {wanted}, got {answer.status_code} {answer.text} {wrong}"
    return None
