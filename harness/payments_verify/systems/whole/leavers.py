"""Clients that go away, at every stage of a request: as many as may be kept, and as many come after them."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from weakref import WeakSet

from payments_verify.surface.exchange import ALIVE, Answer, filled
from payments_verify.surface.raw import BODY, CAPTURES, JSON, NO_HTTP, NOBODY, ONE, head, with_length
from payments_verify.surface.slow_clients import CAPTURE, CAPTURED, READ
from payments_verify.systems.whole.moved_server import CONNECTIONS, ENDED, Connection, Served
from payments_verify.systems.whole.stopped_time import until

_BEGUN = 5
"""Bytes of a head that is not whole."""
_TOO_MANY = 2
_LARGE = head("GET", "/openapi.json") * 64
_HEALTH = head("GET", "/healthz")
"""Answered whatever a process works on."""
_EXPECTING = b"Idempotency-Key: k\r\nExpect: 100-continue\r\nContent-Length: %d\r\n" % len(BODY)
_REFUSED = Answer(503, "overloaded")
_FORGOTTEN_AFTER_S = 30.0
"""More than any limit in time: what waits for one has ended."""
_AT_ONCE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class _Stage:
    """How far clients have come who go away then.

    Attributes:
        what: they do, for people.
        sent: by each of them.
        answered: what each of them reads of it.
        then: what each of them sends once the server has all of that.
        is_worked_on: whether they do not give way: the payment is held, and a request of theirs waits for it.
        is_read: whether more is read of them meanwhile, so that it is seen that they go.
    """

    what: str
    sent: bytes
    answered: Sequence[Answer] = ()
    then: bytes = field(default=b"", kw_only=True)
    is_worked_on: bool = field(default=False, kw_only=True)
    is_read: bool = field(default=True, kw_only=True)

    @property
    def others(self) -> int:
        """How many come beside them; one who is refused may go without a look at it, too."""
        return CONNECTIONS if self.is_worked_on else 1


_STAGES = (
    _Stage("say nothing", b""),
    _Stage("have begun a head", READ[:_BEGUN]),
    _Stage("have begun a body", CAPTURE[:-1]),
    _Stage("have been asked for a body", head("POST", CAPTURES, JSON + _EXPECTING)),
    _Stage("were refused what still comes", with_length("PUT", ONE, body=b" " * 20_000)[:-1]),
    _Stage("send nothing more", READ, (NOBODY,)),
    _Stage("have begun a second head", READ + READ[:_BEGUN], (NOBODY,)),
    _Stage("have begun a second body", READ + CAPTURE[:-1], (NOBODY,)),
    _Stage("read no answer", _LARGE),
    _Stage("are worked for", CAPTURE, is_worked_on=True),
    _Stage("are worked for a second time", READ + CAPTURE, (NOBODY,), is_worked_on=True),
    _Stage("are worked for, with a head begun", CAPTURE + READ[:_BEGUN], is_worked_on=True),
    _Stage("are worked for, with a body begun", CAPTURE + CAPTURE[:-1], is_worked_on=True),
    _Stage("are worked for, and sent two at once", CAPTURE + READ, is_worked_on=True),
    _Stage("are worked for, and sent more since", CAPTURE, then=READ, is_worked_on=True, is_read=False),
    _Stage("are worked for, and sent no HTTP", CAPTURE + NO_HTTP, is_worked_on=True),
    _Stage(
        "are worked for, and sent more behind no HTTP",
        CAPTURE + NO_HTTP,
        then=READ,
        is_worked_on=True,
        is_read=False,
    ),
)
MALFORMED = CONNECTIONS * sum(NO_HTTP in each.sent for each in _STAGES)
"""So many send what is no HTTP."""
GAVE_WAY = sum(each.others + _TOO_MANY for each in _STAGES)
"""So many connections end for others, or are refused."""


async def wrong_as_clients_leave(served: Served) -> str | None:
    """What is counted or kept of clients that went away; ``None`` if nothing is."""
    gone: WeakSet[object] = WeakSet()
    for stage in _STAGES:
        if (wrong := await _wrong_at(served, stage, gone)) is not None:
            return f"I9: {CONNECTIONS} clients {stage.what}: {wrong}"
    await served.loop.pause(_FORGOTTEN_AFTER_S)
    gc.collect()
    if gone:
        return f"I9: {len(gone)} connections that ended are kept in the process's memory"
    return None


async def _wrong_at(served: Served, stage: _Stage, gone: WeakSet[object]) -> str | None:
    """They leave, and more come than may be kept: all but those are served, and all at once."""
    state = served.uvicorn.server_state
    async with AsyncExitStack() as held, AsyncExitStack() as new:
        await held.enter_async_context(served.store.lock(served.payment))
        if (wrong := await _wrong_until_gone(served, stage, gone)) is not None:
            return wrong
        if not stage.is_read:
            await held.aclose()
        if not await until(lambda: not state.connections):
            return f"{len(state.connections)} connections stay open behind them"
        begun = [CAPTURE[:_BEGUN]] * (CONNECTIONS + _TOO_MANY)
        clients = await new.enter_async_context(served.sent_at_once(*begun))
        await held.aclose()
        if not await until(lambda: not state.tasks):
            return f"{len(state.tasks)} requests are under way for good behind them"
        async with served.store.lock(served.payment):
            asked = [served.answered(each, CAPTURED, CAPTURE[_BEGUN:]) for each in clients]
            answers = [asyncio.create_task(each) for each in asked]
            await served.loop.rest()
        told = [each for each in await asyncio.gather(*answers) if each is not None]
    if len(told) == _TOO_MANY and all(each.startswith(ENDED) for each in told):
        return None
    wrong = next((each for each in told if not each.startswith(ENDED)), "")
    count = len(clients) - len(told)
    return f"of {len(clients)} new ones {CONNECTIONS} may be kept, and {count} are served: {wrong}"


async def _wrong_until_gone(served: Served, stage: _Stage, gone: WeakSet[object]) -> str | None:
    """As many as may be kept come so far, and another beside them; then all of them leave."""
    expected = _REFUSED if stage.is_worked_on else ALIVE
    async with (
        served.sent_at_once(*[stage.sent] * CONNECTIONS) as clients,
        AsyncExitStack() as beside,
    ):
        gone.update(served.uvicorn.server_state.connections)
        for client in clients:
            for answer in stage.answered:
                if (wrong := await served.answered(client, answer)) is not None:
                    return wrong
            client[1].write(filled(stage.then, served.meant))
        others = await beside.enter_async_context(served.sent_at_once(*[_HEALTH] * stage.others))
        gone.update(served.uvicorn.server_state.connections)
        if (wrong := await served.answered(others[0], expected)) is not None:
            return f"another comes: {wrong}"
        _leave([*clients, *others])
    return None


def _leave(clients: Sequence[Connection]) -> None:
    """Close their connections, and reset every other one."""
    for number, (_, writer) in enumerate(clients):
        if number % 2 and not writer.is_closing():
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        writer.transport.abort()
