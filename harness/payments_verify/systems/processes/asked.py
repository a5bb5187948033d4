"""A process of the service as its clients see it, and its sessions as the database does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import time
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from payments_verify.patience import ask_until, comes_true, patient
from payments_verify.surface.answers import problem_of
from payments_verify.systems.processes.forked import Forks, Process
from pgweave.service.http_client import http_client

LIMIT_S = 30.0
_TRIES = 5
AMOUNT = b'{"amount_cents": 500}'
WINDOW = b'{"capture_window_seconds": 86400}'
_REFUSED, _UNAVAILABLE = 300, 503
_BEGUN = 5
_MORE = 2
_READ = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SINCE_17 = "transaction_timeout"
TELLS = """
CREATE TABLE told (number bigserial, application text, name text, value text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO told (application, name, value)
    SELECT current_setting('application_name'), name, setting FROM pg_settings
    WHERE name ~ '_timeout$' OR name = 'transaction_isolation'
    UNION ALL SELECT current_setting('application_name'), 'role', current_setting('role')
    UNION ALL SELECT current_setting('application_name'), 'prepared', (count(*) > 0)::text
    FROM pg_prepared_statements;
    RETURN NEW;
END
$$;
CREATE TRIGGER tell BEFORE INSERT OR UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION tell();
"""
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
WAITING = f"{SESSIONS} AND wait_event_type = 'Lock'"


class NotServedError(RuntimeError):
    """A process does not serve; the message has what it printed."""


@dataclass(frozen=True)
class Served:
    """A process that serves, and how it is asked.

    Attributes:
        process: it.
        http: a client, each of whose requests has a connection of its own.
        host, port: where it serves.
        answered: the path and the id of each request that was answered.
        began: since when, by the clock.
    """

    process: Process
    http: httpx.AsyncClient
    host: str
    port: int
    answered: list[tuple[str, str]] = field(default_factory=list)
    began: float = field(default_factory=time)

    async def note(self, answer: httpx.Response) -> None:
        """Keep which request was answered, unless the answer comes from before the application."""
        if (request_id := answer.headers.get("x-request-id")) is not None:
            self.answered.append((answer.request.url.path, request_id))


@asynccontextmanager
async def serving(
    forks: Forks, dsn: str, name: str, *arguments: str, **variables: str
) -> AsyncIterator[Served]:
    """A process on a database in which it is known by its name; see `started`."""
    named = make_conninfo(dsn, application_name=name)
    async with started(forks, *arguments, DATABASE_URL=named, **variables) as served:
        yield served


@asynccontextmanager
async def started(forks: Forks, *arguments: str, **variables: str) -> AsyncIterator[Served]:
    """A process that serves; it is told to end with the block.

    Raises:
        NotServedError: it does not serve.
    """
    process = await forks.begin("serve", *arguments, **variables)
    at = await process.address()
    if at is None:
        raise NotServedError(f"payments-core serve did not start: {(await process.ended()).errors[-1000:]}")
    try:
        async with http_client(f"http://{at[0]}:{at[1]}", limit_s=patient(LIMIT_S)) as http:
            served = Served(process, http, *at)
            http.event_hooks = {"response": [served.note]}
            yield served
    finally:
        process.terminate()


async def send(
    served: Served, method: str, path: str, token: str = "", content: bytes | None = None, **fields: str
) -> httpx.Response:
    """Send a request on a connection of its own; ``_`` in the name of a field stands for ``-``."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if content is not None:
        headers["Content-Type"] = "application/json"
    return await served.http.request(method, path, headers=headers, content=content)


async def wrong_session(
    served: Served, dsn: str, token: str, name: str, wanted: Mapping[str, str]
) -> str | None:
    """Authorize a payment, and see what the database says of the session in which it was done."""
    path = _unknown()
    for method, end, body in (("PUT", "", AMOUNT), ("POST", "/authorize", WINDOW)):
        answer = await send(served, method, f"{path}{end}", token, body)
        if answer.status_code >= _REFUSED:
            return f"I9: {method} {path}{end} is answered {answer.text}"
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT name, value FROM told WHERE application = %s ORDER BY number", [name]
        ).fetchall()
    told: dict[str, str] = dict(rows)
    if not told:
        return f"I9: DATABASE_URL has application_name={name}, and no session that creates payments is that"
    wrong = [
        f"{each} is {told.get(each)}, and not {value}"
        for each, value in wanted.items()
        if told.get(each, value if each == _SINCE_17 else None) != value
    ]
    return f"I9, I10: in a session of the service {'; '.join(wrong)}" if wrong else None


async def wrong_connections(served: Served, kept: int) -> str | None:
    """More clients connect than may be kept: those that wait for longest are ended, and told nothing."""
    wrong = None
    for _ in range(_TRIES):  # on a busy machine their time may be over before the last has come
        wrong = await _wrong_in_a_crowd(served, kept)
        if wrong is None:
            return None
    return wrong


async def _wrong_in_a_crowd(served: Served, kept: int) -> str | None:
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(kept + _MORE):
            opened.append(await asyncio.open_connection(served.host, served.port))
            opened[-1][1].write(_READ[:_BEGUN])
        try:
            async with asyncio.timeout(patient(LIMIT_S)):
                told = await asyncio.gather(*(reader.read() for reader, _ in opened[:_MORE]))
        except TimeoutError:
            told = [b"nothing yet"]
        if any(told):
            return f"I9: a process may keep {kept} connections, and keeps {len(opened)}: {told[0][:60]!r}"
        opened[-1][1].write(_READ[_BEGUN:])
        answer = await opened[-1][0].readline()
        return None if b" 200 " in answer else f"I9: the last of {kept} connections: {answer!r}"
    finally:
        for _, writer in opened:
            writer.close()


def is_available(answer: httpx.Response) -> bool:
    """Whether a request was served, and not put off."""
    return answer.status_code != _UNAVAILABLE


async def wrong_hosts(served: Served, hosts: Mapping[str, int]) -> str | None:
    """What is answered to a host that is not as it should be: the statuses are by the host."""
    for host, status in hosts.items():
        ask = partial(send, served, "GET", _unknown(), Host=host)
        answer = await ask_until(ask, is_available, LIMIT_S)  # on a busy machine the database may be late
        if answer.status_code != status:
            return f"I9: Host {host!r} at {served.host}: {answer.status_code} {answer.text}, not {status}"
    return None


async def wrong_when_locked(
    served: Served, dsn: str, name: str, connected: int, wanted: Counter[str]
) -> str | None:
    """Requests come while others have the table: what becomes of them, once it is free again."""
    requests, seen = wanted.total(), []
    for _ in range(_TRIES):  # one that comes too late on a busy machine finds room
        with psycopg.connect(dsn) as holder:
            holder.execute("LOCK TABLE payments")
            sent = [asyncio.create_task(send(served, "GET", _unknown())) for _ in range(requests)]
            await comes(dsn, WAITING, (name,), connected)
            await comes_true(partial(_have_ended, sent, requests - connected), LIMIT_S)
        seen.append(Counter([problem_of(await each) for each in sent]))
        if seen[-1] == wanted:
            return None
    return f"I9: {requests} requests while others have the table, of {name}: {seen}, and not {wanted}"


def _have_ended(sent: Sequence[asyncio.Task[httpx.Response]], wanted: int) -> bool:
    return sum(each.done() for each in sent) == wanted


def _unknown() -> str:
    return f"/payments/{uuid4()}"


@dataclass(frozen=True)
class Asked:
    """Carries requests to a process."""

    served: Served

    async def request(self, method: str, path: str, **_more: Any) -> httpx.Response:  # noqa: ANN401
        """Send a request."""
        return await send(self.served, method, path)


async def comes(dsn: str, query: str, parameters: Sequence[str], wanted: int) -> bool:
    """Whether a query comes to find so many."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def is_found() -> bool:
            return connection.execute(query.encode(), parameters).fetchone() == (wanted,)

        return await comes_true(is_found, LIMIT_S)
