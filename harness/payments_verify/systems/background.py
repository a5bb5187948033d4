"""What keeps statements from being told by request: others that none asks for, a way past the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

import psycopg

from payments_verify.payments.observed.observations import Invocation, UnreadableAnswerError
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from pgweave.gate import HeldStatement, Session
from pgweave.gate.proxy import PassAll
from pgweave.scheduler import GatedDatabase
from pgweave.service.command import CommandError, NoAnswerError
from pgweave.sql.functions import functions_that_act

_SETTLED_S = 0.5
_WATCHED_S = 2.0
_APART_S = 0.1
_AMOUNT = 500
_WINDOW = 60_000_000


class _Watching(PassAll):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        self.seen.append(statement.sql)
        statement.release()


@dataclass(frozen=True)
class Habits:
    """What was seen of a service that was just started.

    Attributes:
        without_request: the statements that it sends when it is asked nothing.
        functions: those of its database that do more than compute, and are no triggers: a call is one step.
        past_the_gate: its connections to the database that do not lead through the gate.
    """

    without_request: Sequence[str] = ()
    functions: Sequence[str] = ()
    past_the_gate: Sequence[str] = ()

    @property
    def why_not_followed(self) -> str | None:
        """Why its statements cannot be told by request; ``None`` if they can, as far as it was seen."""
        if self.without_request:
            return f"the service sends statements that no request asks for: {self.without_request[-1]}"
        if self.past_the_gate:
            told = f"the service connects to its database past the gate: {self.past_the_gate[0]}"
            return f"{told}; lead every connection by what DATABASE_URL says"
        return None


def habits_of(open_behind_gate: OpenService) -> Habits:
    """What a service that was just started, and is asked nothing, sends within two seconds, and may call.

    Then it is asked for a capture, so that it connects wherever it does.

    Whatever else keeps it from being started is left for those who examine it.

    Args:
        open_behind_gate: starts the service behind a gate.

    Raises:
        NoAnswerError: the command answers nothing; whoever starts it again would wait as long.
    """

    async def watch() -> Habits:
        async with open_behind_gate() as service:
            await asyncio.sleep(_SETTLED_S)
            watching = _Watching()
            assert service.database is not None
            service.database.gate.observer = watching
            await asyncio.sleep(_WATCHED_S)
            seen = tuple(watching.seen)
            await _ask(service)
            past = await _past_the_gate(service.database)
            return Habits(seen, functions_that_act(service.database.catalog), past)

    try:
        return asyncio.run(watch())
    except NoAnswerError:
        raise
    except (CommandError, psycopg.Error):
        return Habits()


async def _ask(service: ServiceUnderTest) -> None:
    """Ask for a capture; what is answered is for others to judge."""
    payment, traits = str(uuid4()), service.traits
    amount = traits.amount(_AMOUNT)
    asked = [Invocation(*each) for each in traits.opening(payment, amount, traits.window(_WINDOW))]
    asked += [service.invocation("capture", payment, {"key": "k1", "amount": amount})]
    asked += [service.invocation("read", payment, {})]
    for each in asked:
        with suppress(UnreadableAnswerError):
            await service.client.send(each)


async def _past_the_gate(database: GatedDatabase) -> Sequence[str]:
    """The connections that do not lead through the gate. Each is seen twice: it may just end."""
    found: Mapping[int, str] = {}
    for look in range(2):
        await asyncio.sleep(_APART_S)
        sessions = database.gate.sessions
        seen = await database.monitor.strangers(session.pid for session in sessions)
        if any(session.pid == 0 for session in sessions):
            return ()  # one of them is the gate's, and the server has not said yet which
        found = {pid: told for pid, told in seen.items() if look == 0 or pid in found}
    return tuple(found.values())
