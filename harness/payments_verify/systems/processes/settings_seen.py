"""Every setting of the service, given a value whose effect is seen. One process has many of them."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg

from payments_verify.surface.answers import problem_of
from payments_verify.surface.lines import lines_of_requests
from payments_verify.surface.rights import PERMISSIONS
from payments_verify.surface.written import PAYMENT, PENDING, UNKNOWN
from payments_verify.systems.processes.asked import (
    AMOUNT,
    LIMIT_S,
    SESSIONS,
    TELLS,
    NotServedError,
    Served,
    comes,
    send,
    serving,
    wrong_connections,
    wrong_hosts,
    wrong_session,
    wrong_when_locked,
)
from payments_verify.systems.processes.drained import wrong_end, wrong_hangup
from payments_verify.systems.processes.due import expired_together, insert_due
from payments_verify.systems.processes.forked import Forks
from payments_verify.systems.processes.forking import FILES, NOHUP
from payments_verify.systems.processes.kept_refusals import wrong_bound
from payments_verify.systems.processes.refused_starts import FEWEST_CONNECTIONS, files_for
from payments_verify.systems.processes.watched import ELSEWHERE, Traced, collector, wrong_lines

_TRIES = 5
_STRANGER, _UNKNOWN = "of somebody else", 401
_NOBODY, _FOREIGN, _BAD, _CONFLICT, _TOO_MANY = 404, 421, 400, 409, 429
_IN_MS: Mapping[str, int] = {
    "statement_timeout": 8123,
    "lock_timeout": 7123,
    "idle_in_transaction_session_timeout": 9123,
    "transaction_timeout": 14123,
}
_SESSION: Mapping[str, str] = {
    **{name: str(limit) for name, limit in _IN_MS.items()},
    "role": "payments_app",
    "prepared": "true",
    "transaction_isolation": "serializable",
}
_BATCH, _DUE, _REFUSALS, _KEPT, _CLIENTS = 2, 3, 2, 3, 12
_MANY_REFUSALS = 1_100
"""More than the default."""
_ANOTHER_FORM = "0X7F.1"
"""An address of this machine that nobody would take for one by its form."""
_CONNECTED = 3
_FULL = Counter({"payment_not_found": _CONNECTED, "unavailable": 2, "overloaded": 1})
"""What becomes of six requests, of which three have a connection, and two may wait for one."""


@dataclass(frozen=True)
class Token:
    """A token that was made.

    Attributes:
        scopes: what it was made for; everything if empty.
        token: the client's.
        entry: the service's.
    """

    scopes: Sequence[str]
    token: str
    entry: str


async def wrong_settings(
    forks: Forks, databases: Sequence[str], folder: Path, tokens: Sequence[Token]
) -> str | None:
    """The first setting that does not do what it says, if there is one.

    Args:
        forks: starts processes.
        databases: three that are prepared, that nobody else uses, and whose owner is a superuser.
        folder: one for files.
        tokens: of all sets of scopes.
    """
    for each in databases:
        with psycopg.connect(each, autocommit=True) as connection:
            connection.execute(TELLS)
    guarded, open_, everybody = databases
    try:
        wrong = await asyncio.gather(
            _guarded(forks, guarded, folder, tokens),
            _open(forks, open_),
            _for_everybody(forks, everybody),
            _with_few_files(forks, open_),
        )
    except NotServedError as error:
        return f"I9: {error}"
    return next(filter(None, wrong), None)


async def _guarded(forks: Forks, dsn: str, folder: Path, tokens: Sequence[Token]) -> str | None:
    """With tokens in a variable and in a file, at a port of the environment, with other limits than usual."""
    file, listed = folder / "tokens", tokens[::2]
    lines = [f"{each.entry}  # for {'+'.join(each.scopes) or 'everything'}" for each in tokens[1::2]]
    file.write_text("# the tokens\n\n" + "\n".join(lines) + "\n")
    with closing(socket.socket()) as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        variables = {
            "PORT": port,
            "TOKENS": ", ".join(each.entry for each in listed),
            "TOKENS_FILE": file,
            "ISOLATION": "serializable",
            "STATEMENT_TIMEOUT_MS": _IN_MS["statement_timeout"],
            "LOCK_TIMEOUT_MS": _IN_MS["lock_timeout"],
            "IDLE_IN_TRANSACTION_TIMEOUT_MS": _IN_MS["idle_in_transaction_session_timeout"],
            "TRANSACTION_TIMEOUT_MS": _IN_MS["transaction_timeout"],
            "POOL_MIN": _KEPT,
            "POOL_MAX": _KEPT,
            "MAX_CONNECTIONS": _CLIENTS,
            "MAX_STORED_REFUSALS": _REFUSALS,
            "SWEEP_INTERVAL_S": 0.05,
            "SWEEP_BATCH": _BATCH,
            "LOG_LEVEL": "warning",
        }
        named = {f"PAYMENTS_{name}": str(value) for name, value in variables.items()}
        async with serving(forks, dsn, "guarded", **named) as served:
            if served.port != port:
                return f"I9: PAYMENTS_PORT={port}, and it serves at {served.port}"
            wrong = await _wrong_after_changes(served, file, tokens) or await _wrong_rights(served, tokens)
            wrong = wrong or await _wrong_limits(served, dsn, tokens[0].token)
            wrong = wrong or await wrong_connections(served, _CLIENTS)
            if wrong is None and lines_of_requests(served.process.errors.read_text()):
                wrong = "I9: PAYMENTS_LOG_LEVEL=warning, and requests are logged"
            return wrong


async def _wrong_rights(served: Served, tokens: Sequence[Token]) -> str | None:
    """What each token allows: what it was made for, and no more."""
    ids = {PAYMENT: str(uuid4()), PENDING: str(uuid4()), UNKNOWN: str(uuid4())}
    for each in tokens:
        for permission in PERMISSIONS:
            path = permission.path
            for name, value in ids.items():
                path = path.replace(name, value)
            answer = await send(served, permission.method, path, each.token, content=permission.body)
            may = not permission.scope or not each.scopes or permission.scope in each.scopes
            if (answer.status_code not in (401, 403)) != may or (not may and answer.status_code != 403):
                return (
                    f"I2, I11: a token of payments-core token for {'+'.join(each.scopes) or 'everything'}: "
                    f"{permission.method} {path} is answered {answer.status_code} {answer.text[:200]}"
                )
    return None


async def _wrong_after_changes(served: Served, file: Path, tokens: Sequence[Token]) -> str | None:
    """Whether it matters what becomes of the file of tokens, once a process has read it. It is left empty."""
    changes: Mapping[str, Callable[[], object]] = {
        "is no list of tokens": lambda: file.write_text("nonsense\n"),
        "has another token": lambda: file.write_text(f"{sha256(_STRANGER.encode()).hexdigest()}\n"),
        "is gone": file.unlink,
        "is empty": file.touch,
    }
    listed, kept = tokens[0].token, tokens[1].token
    for what, change in changes.items():
        change()
        for token, may in ((listed, True), (kept, True), (_STRANGER, False), ("", False)):
            answer = await send(served, "GET", "/payments", token)
            if (answer.status_code != _UNKNOWN) != may:
                whose = {listed: "a token of PAYMENTS_TOKENS", kept: "a token that it had", "": "no token"}
                return (
                    f"I2, I11: the file of PAYMENTS_TOKENS_FILE {what} after the start, and a client with "
                    f"{whose.get(token, 'that token')} is answered {answer.status_code} {answer.text[:200]}"
                )
    return None


async def _wrong_limits(served: Served, dsn: str, token: str) -> str | None:
    """Limits and sessions that are not those of the settings."""
    if (wrong := await wrong_session(served, dsn, token, "guarded", _SESSION)) is not None:
        return wrong
    path = f"/payments/{uuid4()}"
    await send(served, "PUT", path, token, AMOUNT)
    answers = [
        (await send(served, "POST", f"{path}/captures", token, AMOUNT, Idempotency_Key=f"{n}")).status_code
        for n in range(_REFUSALS + 1)
    ]
    if answers != [_CONFLICT] * _REFUSALS + [_TOO_MANY]:
        return f"I3, I11: PAYMENTS_MAX_STORED_REFUSALS={_REFUSALS}, and captures are answered {answers}"
    if (wrong := await wrong_bound(served, dsn, token, _REFUSALS)) is not None:
        return wrong
    made = await asyncio.to_thread(insert_due, dsn, _DUE)
    sizes = await expired_together(dsn, made, LIMIT_S)
    wanted = [_BATCH, _DUE - _BATCH]
    return None if sizes == wanted else f"I9: PAYMENTS_SWEEP_BATCH={_BATCH}, and of {_DUE} expire {sizes}"


async def _open(forks: Forks, dsn: str) -> str | None:
    """Without tokens: names, an address in another form, few requests at once, sessions that are lent."""
    variables = {
        "HOST": "192.0.2.1",
        "PORT": "1",
        "ALLOWED_HOSTS": " Example.COM , other.example",
        "DATABASE_ROLE": "",
        "POOLER_MODE": "transaction",
        "POOL_MIN": _CONNECTED,
        "POOL_MAX": _CONNECTED,
        "POOL_TIMEOUT_S": 0.3,
        "MAX_REQUESTS": _FULL.total() - 1,
        "MAX_STORED_REFUSALS": _MANY_REFUSALS,
        "DRAIN_S": 3600,
        "LOG_LEVEL": "debug",
    }
    named = {**ELSEWHERE, **{f"PAYMENTS_{name}": str(value) for name, value in variables.items()}}
    at = ("--host", _ANOTHER_FORM, "--port", "0")
    async with serving(forks, dsn, "open", *at, **named, **{NOHUP: "yes"}) as served:
        if not await comes(dsn, SESSIONS, ("open",), _CONNECTED + 1):
            return f"I9: PAYMENTS_POOL_MIN={_CONNECTED}, and there are not so many connections, and one more"
        names = (_ANOTHER_FORM.lower(), _ANOTHER_FORM, "EXAMPLE.com", "example.com:80", "other.example")
        hosts = {**dict.fromkeys(names, _NOBODY), "example.org": _FOREIGN, "com": _FOREIGN, "": _BAD}
        wrong = await wrong_hosts(served, hosts)
        lent = {"role": "none", "prepared": "false", "transaction_isolation": "read committed"}
        wrong = wrong or await wrong_session(served, dsn, "", "open", lent)
        wrong = wrong or await wrong_bound(served, dsn, "", _MANY_REFUSALS)
        wrong = wrong or await wrong_when_locked(served, dsn, "open", _CONNECTED, _FULL)
        wrong = wrong or await wrong_hangup(served)
        return wrong or await wrong_end(served, dsn, "open") or wrong_lines(served, "debug")


async def _for_everybody(forks: Forks, dsn: str) -> str | None:
    """Without tokens, for every address, within a short time, traced, and with the usual lines in the log."""
    is_traced = find_spec("opentelemetry") is not None
    variables = {
        "ALLOW_UNAUTHENTICATED": "yes",
        "HOST": "127.0.0.2",
        "REQUEST_TIMEOUT_S": 0.5,
        "LOCK_TIMEOUT_MS": 300,
        "POOL_MIN": 1,
        "POOL_MAX": 1,
        "TRACING": "yes" if is_traced else "no",
    }
    named = {f"PAYMENTS_{name}": str(value) for name, value in variables.items()}
    async with collector() as spans:
        at = {**ELSEWHERE, **named, **spans.variables}
        async with serving(forks, dsn, "everybody", "--port", "0", **at) as served:
            if served.host != "127.0.0.2":
                return f"I9: PAYMENTS_HOST=127.0.0.2, and it serves at {served.host}"
            traced = Traced(served, spans)
            wrong = await traced.wrong_while_silent() if is_traced else None
            wrong = wrong or await wrong_hosts(served, {"198.51.100.7": _NOBODY, "example.com": _FOREIGN})
            wrong = wrong or await _wrong_deadline(served, dsn)
            wrong = wrong or (await traced.wrong_spans() if is_traced else None)
            spans.may_answer.set()
            served.process.terminate()
            await served.process.ended()
            return wrong or wrong_lines(served, "info")


async def _with_few_files(forks: Forks, dsn: str) -> str | None:
    """With room for fewer clients than the setting allows."""
    few = {
        "PAYMENTS_POOL_MIN": "1",
        "PAYMENTS_POOL_MAX": "1",
        FILES: str(files_for(FEWEST_CONNECTIONS, pool=1)),
    }
    async with serving(forks, dsn, "few files", "--port", "0", **few) as served:
        return await wrong_connections(served, FEWEST_CONNECTIONS)


async def _wrong_deadline(served: Served, dsn: str) -> str | None:
    """Two requests come while others have the table, of which the second waits for the first, too."""
    seen = []
    for _ in range(_TRIES):
        with psycopg.connect(dsn) as holder:
            holder.execute("LOCK TABLE payments")
            answers = await asyncio.gather(*(send(served, "GET", f"/payments/{uuid4()}") for _ in range(2)))
        seen.append(sorted(problem_of(each) for each in answers))
        if "deadline_exceeded" in seen[-1]:
            return None
    return f"I9: PAYMENTS_REQUEST_TIMEOUT_S=0.5, and what takes longer is answered {seen}"
