"""Whether a service sends statements that no request asks for: its gate would take them for a request's."""

from __future__ import annotations

import asyncio

import psycopg

from payments_verify.payments.service_under_test import OpenService
from pgweave.gate import HeldStatement, Session
from pgweave.gate.proxy import PassAll
from pgweave.service.command import CommandError

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


def statements_without_request(open_behind_gate: OpenService) -> list[str]:
    """What a service that was just started, and is asked nothing, sends within two seconds.

    Whatever keeps it from being started is left for those who examine it.

    Args:
        open_behind_gate: starts the service behind a gate.
    """

    async def watch() -> list[str]:
        async with open_behind_gate() as service:
            await asyncio.sleep(_SETTLED_S)
            watching = _Watching()
            assert service.database is not None
            service.database.gate.observer = watching
            await asyncio.sleep(_WATCHED_S)
            return watching.seen

    try:
        return asyncio.run(watch())
    except (CommandError, psycopg.Error):
        return []
