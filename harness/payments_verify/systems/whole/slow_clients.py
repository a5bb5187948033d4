"""Clients that are slow, or too many, for a server in a thread whose event loop's time is moved on."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias
from uuid import UUID, uuid4

import uvicorn
from starlette.types import ASGIApp

from payments_core.entrypoints.serving import bound, server_config
from payments_core.entrypoints.settings import Settings
from payments_verify.patience import patient
from payments_verify.surface import Server, Witness
from payments_verify.surface.exchange import Answer, filled, first_wrong, until_ended, wrong_answer
from payments_verify.surface.raw import NOBODY
from payments_verify.surface.samples import metrics_of, rejected
from payments_verify.surface.slow_clients import (
    CAPTURE,
    CAPTURED,
    ENDING_S,
    READ,
    TOO_LATE,
    slow_exchanges,
)
from payments_verify.surface.written import PAYMENT, UNKNOWN
from payments_verify.systems.application import OwnTokens, witnessed
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.whole.stopped_time import MovedLoop

_CONNECTIONS = 4
_PATIENCE_S, _AT_ONCE_S = 10.0, 1.0
_BEGUN = 5
"""Bytes of a head that is not whole."""
_TOO_MANY = 2
_LATE_AT_THE_END = 2
_SEEN_S = 0.5
"""So often, and more, a server looks whether it is to end."""
_JSON = (("Content-Type", b"application/json"),)
_REFUSED = Answer(503, "overloaded")


Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class _Served:
    """The application over memory, the server that serves it, and clients."""

    loop: MovedLoop
    store: InMemoryPaymentStore
    witness: Witness
    server: Server
    uvicorn: uvicorn.Server
    task: asyncio.Task[None]
    payment: UUID
    meant: Mapping[str, str]

    @asynccontextmanager
    async def sent(self, *requests: bytes) -> AsyncIterator[list[Connection]]:
        """A connection for each of these, which is sent before the next one is opened."""
        opened: list[Connection] = []
        try:
            for each in requests:
                opened.append(await asyncio.open_connection(self.server.host, self.server.port))
                opened[-1][1].write(filled(each, self.meant))
                await self.loop.rest()
            yield opened
        finally:
            for _, writer in opened:
                writer.close()
            await self.loop.rest()

    async def answered(
        self, connection: Connection, answer: Answer, rest: bytes = b"", patience_s: float | None = None
    ) -> str | None:
        """What is wrong with the answer to a request of which this is the rest; ``None`` if nothing is."""
        reader, writer = connection
        writer.write(filled(rest, self.meant))
        try:
            async with asyncio.timeout(patient(patience_s or _PATIENCE_S)):
                return await wrong_answer(self.witness, reader, answer)
        except TimeoutError:
            return f"no answer within {patience_s or _PATIENCE_S:g} s"
        except (OSError, EOFError) as error:
            return f"the connection ended: {type(error).__name__}"

    async def is_ended(self, connection: Connection, patience_s: float | None = None) -> bool:
        """Whether the server ends a connection, and says nothing before."""
        try:
            async with asyncio.timeout(patient(patience_s or _PATIENCE_S)):
                return await until_ended(connection[0]) == 0
        except TimeoutError:
            return False


async def wrong_for_slow_clients(_dsn: str) -> str | None:
    """Where a process gives its clients other times than it says, or keeps more of them, if anywhere."""
    return await asyncio.to_thread(_in_moved_time)


def _in_moved_time() -> str | None:
    with asyncio.Runner(loop_factory=MovedLoop) as runner:
        return runner.run(_wrong())


async def _wrong() -> str | None:
    async with _served() as served:
        large = len((await served.witness.write("GET", "/openapi.json")).content)
        exchanges = list(slow_exchanges(large))
        pause = served.loop.pause
        wrong = await first_wrong(served.witness, served.server, exchanges, served.meant, pause)
        wrong = wrong or await _wrong_in_a_crowd(served) or await _wrong_at_work(served)
        wrong = wrong or await _ends_otherwise(served)
        late = _LATE_AT_THE_END + sum(TOO_LATE in each.steps for each in exchanges)
        expected = {"request_timeout": late, "unread_answer": 1, "connections": _TOO_MANY + 1}
        counted = rejected(await metrics_of(served.witness.http))
    if wrong is None and counted != expected:
        return f"I12: what was refused is counted as {dict(counted)}, and was {expected}"
    return wrong


@asynccontextmanager
async def _served() -> AsyncIterator[_Served]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, MovedLoop)
    store, payment, tokens = InMemoryPaymentStore(lambda: 0), uuid4(), OwnTokens.make()
    witness = witnessed(store, made_tokens=tokens)
    settings = Settings(max_connections=_CONNECTIONS, log_level="error")
    with bound("127.0.0.1", 0) as listeners:
        config = server_config(listeners, 1, settings, partial(_app, witness))
        config.callback_notify = None  # it would print where it serves
        if sys.platform == "linux":  # who says nothing has to come to the server, too
            listeners[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
        host, port = listeners[0].getsockname()[:2]
        at = Server(host, port, f"Bearer {tokens.own}")
        meant = {
            "{host}": f"{at.host}:{at.port}",
            "{authorization}": at.authorization,
            PAYMENT: str(payment),
            UNKNOWN: str(uuid4()),
        }
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(listeners))
        await loop.rest()
        path = f"/payments/{payment}"
        await witness.write("PUT", path, _JSON, b'{"amount_cents": 500}')
        await witness.write("POST", f"{path}/authorize", _JSON, b'{"capture_window_seconds": 60}')
        try:
            yield _Served(loop, store, witness, at, server, task, payment, meant)
        finally:
            server.should_exit = True
            while not task.done():
                await loop.pause(1)
            task.result()


def _app(witness: Witness) -> ASGIApp:
    assert isinstance(witness.http, ApplicationClient)
    return witness.http.app


async def _wrong_in_a_crowd(served: _Served) -> str | None:
    """More clients than there may be have begun: who waits for longest gives way, the others are served."""
    async with served.sent(*[READ[:_BEGUN]] * (_CONNECTIONS + _TOO_MANY)) as clients:
        for number, client in enumerate(clients):
            if number < _TOO_MANY:
                if not await served.is_ended(client):
                    return f"I9: of {len(clients)} connections, {_CONNECTIONS} may be kept, and more are"
            elif (wrong := await served.answered(client, NOBODY, READ[_BEGUN:])) is not None:
                return f"I9: the last of {_CONNECTIONS} clients, which may be kept: {wrong}"
    return None


async def _wrong_at_work(served: _Served) -> str | None:
    """As many clients as there may be are worked for, and one more comes: that one is refused."""
    async with AsyncExitStack() as held:
        await held.enter_async_context(served.store.lock(served.payment))
        async with served.sent(*[CAPTURE] * _CONNECTIONS, READ) as (*clients, last):
            wrong = await served.answered(last, _REFUSED)
            if wrong is not None or not await served.is_ended(last):
                return (
                    f"I9: {_CONNECTIONS} clients are worked for, and another comes: {wrong or 'it is kept'}"
                )
            await held.aclose()
            for client in clients:
                if (wrong := await served.answered(client, CAPTURED)) is not None:
                    return f"I9: a client that is worked for while others come: {wrong}"
    return None


async def _ends_otherwise(served: _Served) -> str | None:
    """Requests that are not whole as the process ends have a little time to come, and the idle have none."""
    async with served.sent(READ[:_BEGUN], READ[:_BEGUN], CAPTURE[:-1], READ) as (in_time, *late, idle):
        if (wrong := await served.answered(idle, NOBODY)) is not None:
            return f"I9: a client among slow ones: {wrong}"
        served.uvicorn.should_exit = True
        await served.loop.pause(_SEEN_S)
        if not await served.is_ended(idle, _AT_ONCE_S):
            return "I9: as the process ends, an idle connection is kept"
        await served.loop.pause(ENDING_S / 2)
        wrong = await served.answered(in_time, NOBODY, READ[_BEGUN:])
        await served.loop.pause(ENDING_S)
        for each in late:  # at once: it has less time than it would have had
            wrong = wrong or await served.answered(each, TOO_LATE, patience_s=_AT_ONCE_S)
        if wrong is not None or not all([await served.is_ended(each) for each in (in_time, *late)]):
            return f"I9: as the process ends, a request that is not whole: {wrong or 'it is kept'}"
        await served.loop.pause(_SEEN_S)
        if not served.task.done():
            return "I9: a process was told to end, has nothing to do, and does not end"
    return None
