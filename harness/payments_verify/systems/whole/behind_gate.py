"""The whole application behind a gate, all of whose connections are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from payments_verify.patience import comes_true
from payments_verify.systems.whole.application import WholeApplication, whole_application
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

LONG_MS = 3_600_000
"""A limit that nothing comes to, in ms."""
_LIMIT_S = 20.0


class _Begun(PassAll):
    """Notes the connections whose first statement, which sets them up, was answered."""

    def __init__(self) -> None:
        self.sessions: set[Session] = set()

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def answered(self, statement: HeldStatement) -> None:
        self.sessions.add(statement.session)


@asynccontextmanager
async def gated_application(
    dsn: str,
    connections: int,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[tuple[Gate, WholeApplication]]:
    """A gate, and the application behind it, once its connections can be used, until the block ends.

    Args:
        dsn: its database.
        connections: how many it has for requests; beside them it has one for itself.
        settings: of the service, by name; no limit of time comes to its end where it is not named.
    """
    limits = {
        "pool_min": connections,
        "pool_max": connections,
        "lock_timeout_ms": LONG_MS,
        "statement_timeout_ms": LONG_MS,
        "transaction_timeout_ms": LONG_MS,
        "idle_in_transaction_timeout_ms": LONG_MS,
        "request_timeout_s": LONG_MS / 100,
        "pool_timeout_s": LONG_MS / 1000,
        **settings,
    }
    async with Gate.open(dsn, bool) as gate:
        before, gate.observer = gate.observer, (begun := _Begun())
        async with whole_application(gate.socket_dsn, **limits) as app:
            await comes_true(lambda: len(begun.sessions) > connections and not busy(gate), _LIMIT_S)
            gate.observer = before
            yield gate, app


def busy(gate: Gate) -> int:
    """How many connections have a statement under way, or a transaction."""
    return sum(not each.idle for each in gate.sessions)
