"""What becomes of connections that a service has left in a transaction that has failed.

Such a transaction holds no lock. Whether it is a bug shows when the connection is lent again: a pool may roll
it back first. Else a request that meets nobody is refused by PostgreSQL for what another has done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle, islice

from pgweave.calling import call
from pgweave.clients import named
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll
from pgweave.scenario import Client, Scenario, UseError, arguments_taken, name_of

_IN_FAILED_TRANSACTION = "25P02"
_LIMIT_S = 60.0


class Leftovers:
    """Asks a service alone, first when nothing is left over, and again when something is.

    Args:
        scenario: what is explored.
        gate: where the service's statements go through.
        address: where the service is.
        set_up: brings the database to where a race begins, and gives what clients are given.
    """

    def __init__(
        self, scenario: Scenario, gate: Gate, address: str, set_up: Callable[[], Awaitable[object]]
    ) -> None:
        self._clients = [operations[0] for operations in scenario.operations]
        self._gate = gate
        self._address = address
        self._set_up = set_up
        self._usual: list[tuple[Client, str]] = []
        self._found = ""

    async def learn(self) -> None:
        """Note what each client is answered alone, where that is the same twice.

        Raises:
            UseError: one hangs.
        """
        for client in self._clients:
            first, again = await self._answer(client), await self._answer(client)
            if first == again:
                self._usual.append((client, first))

    async def problem(self, left: Sequence[Session]) -> str:
        """What is wrong with these connections; empty if a request that meets nobody is answered as ever.

        What was wrong once remains so: the connection is still there for later schedules to meet.
        """
        self._found = self._found or await self._problem(left)
        return self._found

    async def _problem(self, left: Sequence[Session]) -> str:
        for client, usual in islice(cycle(self._usual), 2 * len(self._gate.sessions)):
            open_ones = [session for session in left if session.block.has_failed and not session.closed]
            if not open_ones:
                return ""
            watch = _Watch(open_ones)
            self._gate.observer = watch
            try:
                answer = await self._answer(client)
            finally:
                self._gate.observer = PassAll()
            if watch.refused and answer != usual:
                return (
                    f"{watch.refused} was left inside a transaction that had failed, and then"
                    f" {name_of(client)} met nobody, and was answered {answer} in place of {usual}"
                )
        return ""

    async def _answer(self, client: Client) -> str:
        given = (self._address, await self._set_up(), self._gate.tcp_dsn)
        try:
            async with asyncio.timeout(_LIMIT_S) as limit:
                return repr(await call(client, *given[: arguments_taken(client, len(given))]))
        except Exception as error:  # noqa: BLE001 - the client's; it is compared
            if not limit.expired():
                return named(error)
        raise UseError(f"{name_of(client)} hangs: alone, it has not ended in {_LIMIT_S:g} s")


class _Watch(PassAll):
    """Sees whether PostgreSQL refuses a statement since its transaction has failed."""

    def __init__(self, left: Sequence[Session]) -> None:
        self._left = left
        self.refused: Session | None = None

    def decide_to_hold(self, _session: Session) -> bool:
        """Everything is looked at."""
        return True

    def answered(self, statement: HeldStatement) -> None:
        """Note the refusal."""
        if statement.session in self._left and (statement.error or {}).get("C") == _IN_FAILED_TRANSACTION:
            self.refused = statement.session
