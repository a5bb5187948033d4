"""What keeps a service's statements from being told apart: those that no request asks for, and functions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from payments_verify.payments.service_under_test import OpenService
from pgweave.gate import HeldStatement, Session
from pgweave.gate.proxy import PassAll
from pgweave.service.command import CommandError
from pgweave.sql.functions import functions_that_act

_SETTLED_S = 0.5
_WATCHED_S = 2.0


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
    """What was seen of a service that is asked nothing.

    Attributes:
        without_request: the statements that it sends all the same.
        functions: those of its database that do more than compute, and are no triggers: a call is one step.
    """

    without_request: Sequence[str] = ()
    functions: Sequence[str] = ()


def habits_of(open_behind_gate: OpenService) -> Habits:
    """What a service that was just started, and is asked nothing, sends within two seconds, and may call.

    Whatever keeps it from being started is left for those who examine it.

    Args:
        open_behind_gate: starts the service behind a gate.
    """

    async def watch() -> Habits:
        async with open_behind_gate() as service:
            await asyncio.sleep(_SETTLED_S)
            watching = _Watching()
            assert service.database is not None
            service.database.gate.observer = watching
            await asyncio.sleep(_WATCHED_S)
            return Habits(watching.seen, functions_that_act(service.database.catalog))

    try:
        return asyncio.run(watch())
    except (CommandError, psycopg.Error):
        return Habits()
