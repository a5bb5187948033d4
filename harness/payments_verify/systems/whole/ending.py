"""A process that ends while clients are at each stage of a request: all that came whole is answered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from payments_verify.surface.exchange import Answer, filled
from payments_verify.surface.raw import NOBODY, found
from payments_verify.surface.samples import metrics_of, rejected
from payments_verify.surface.slow_clients import CAPTURE, CAPTURED, ENDING_S, PUT, READ, TOO_LATE, TRAILING
from payments_verify.systems.whole.moved_server import Connection, Served, moved_server

_BEGUN = 5
"""Bytes of a head that is not whole."""
_SEEN_S = 0.5
"""So often, and more, a server looks whether it is to end."""
_SOON_S = 0.1
_UNTOLD = 1
"""So many requests are too late behind others that came whole: they are counted, and have no answer."""
_TWO_HEADS = READ + READ[:_BEGUN]
_LAST = replace(NOBODY, closes=True)


@dataclass(frozen=True)
class _Client:
    """How far a client has come as the process is told to end, and what becomes of it.

    Attributes:
        what: it is, for people.
        sent: before.
        answered: before.
        then: it sends as half of the time is over that it has.
        answers: it is given after all.
        is_held: whether a request of it is worked on until the time of all others is over.
    """

    what: str
    sent: bytes
    answered: Sequence[Answer] = ()
    then: bytes = b""
    answers: Sequence[Answer] = ()
    is_held: bool = False


_CLIENTS = (
    _Client("is idle", READ, (NOBODY,)),
    _Client("has begun a head, and ends it", READ[:_BEGUN], (), READ[_BEGUN:], (_LAST,)),
    _Client("has begun a body, and ends it", PUT[:-1], (), PUT[-1:], (replace(found(), closes=True),)),
    _Client("has begun a head", READ[:_BEGUN], answers=(TOO_LATE,)),
    _Client("has begun a head, and sends on", READ[:_BEGUN], (), READ[_BEGUN:-1], (TOO_LATE,)),
    _Client("has begun a second head, and sends on", _TWO_HEADS, (NOBODY,), READ[_BEGUN:-1], (TOO_LATE,)),
    _Client("has begun a body", PUT[:-1], answers=(TOO_LATE,)),
    _Client("has begun a body, and sends on", PUT[:-2], (), PUT[-2:-1], (TOO_LATE,)),
    _Client("has begun trailers, and sends on", TRAILING[:-9], (), TRAILING[-9:-2], (TOO_LATE,)),
    _Client("is worked for", CAPTURE, answers=(replace(CAPTURED, closes=True),), is_held=True),
    _Client("sent two more", CAPTURE + READ * 2, answers=(CAPTURED, NOBODY, _LAST), is_held=True),
    _Client("began a third", CAPTURE + READ + PUT[:-1], answers=(CAPTURED, _LAST), is_held=True),
)


async def wrong_as_it_ends() -> str | None:
    """What a process answers otherwise than it has to as it ends; ``None`` if nothing. Time is stopped."""
    async with moved_server(len(_CLIENTS)) as served, AsyncExitStack() as held:
        await held.enter_async_context(served.store.lock(served.payment))
        async with served.sent(*(each.sent for each in _CLIENTS)) as connections:
            clients = list(zip(_CLIENTS, connections, strict=True))
            wrong = await _wrong_meanwhile(served, clients)
            await held.aclose()
            for client, connection in clients:
                if client.is_held:
                    wrong = wrong or await _wrong_for(served, client, connection)
        await served.loop.pause(_SEEN_S)
        if wrong is None and not served.task.done():
            wrong = "it has nothing to do, and does not end"
        late = _UNTOLD + sum(TOO_LATE in each.answers for each in _CLIENTS)
        counted = rejected(await metrics_of(served.witness.http))
    if wrong is None and counted != {TOO_LATE.problem: late}:
        return f"I12: as a process ends, {late} requests are too late, and counted is {dict(counted)}"
    return None if wrong is None else f"I9: a process was told to end: {wrong}"


async def _wrong_meanwhile(served: Served, clients: Sequence[tuple[_Client, Connection]]) -> str | None:
    """What is wrong until the time is over of all that is not worked on."""
    for client, connection in clients:
        for answer in client.answered:
            if (wrong := await served.answered(connection, answer)) is not None:
                return f"a client that {client.what}, before: {wrong}"
    served.uvicorn.should_exit = True
    await served.loop.pause(_SEEN_S)
    for client, connection in clients:
        if client.answered and not client.answers and not await served.is_ended(connection):
            return f"a client that {client.what} is kept"
    await served.loop.pause(ENDING_S / 2)
    for client, (_, writer) in clients:
        writer.write(filled(client.then, served.meant))
    await served.loop.pause(ENDING_S / 2 + _SOON_S)
    for client, connection in clients:
        wrong = (
            await _wrong_for(served, client, connection) if client.answers and not client.is_held else None
        )
        if wrong is not None:
            return wrong
    return None


async def _wrong_for(served: Served, client: _Client, connection: Connection) -> str | None:
    for answer in client.answers:
        if (wrong := await served.answered(connection, answer)) is not None:
            return f"a client that {client.what}: {wrong}"
    return None if await served.is_ended(connection) else f"a client that {client.what} is kept"
