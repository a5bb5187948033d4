"""The contents of the database, read directly: past the service, and into the history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from payments_model import Outcome
from payments_verify.nemesis.load import Load
from payments_verify.payments.observed.observations import FIELDS_OF_STATE, View, answered
from payments_verify.systems import Cluster, Connection

DIRECTLY = {"from": "database"}
"""Marks what was read directly, in the argument of the operation."""

_INSTANTS = ("authorized_at", "capture_expires_at", "captured_at", "failed_at")


def _us(instant: str) -> str:
    return f"(extract(epoch FROM {instant}) * 1000000)::bigint"


_PAYMENTS = f"""
    SELECT payment_id, state, amount_cents, captured_amount_cents, failure_reason,
           {", ".join(map(_us, _INSTANTS))}
    FROM payments WHERE payment_id = ANY(%s)
"""  # noqa: S608 - constants
_NAMES = ("state", "amount", "captured_amount", "reason", *_INSTANTS)
_ATTEMPTS = f"""
    SELECT payment_id, idempotency_key, amount_cents, outcome, {_us("decided_at")}
    FROM capture_attempts WHERE payment_id = ANY(%s) ORDER BY idempotency_key
"""  # noqa: S608 - constants
_OUTCOMES = {"capture_window_expired": "window_expired"}
_NOW = f"SELECT {_us('payment_clock()')}"
_CAPTURED = "SELECT payment_id, count(*) FROM capture_attempts WHERE outcome = 'captured' GROUP BY payment_id"


async def look(cluster: Cluster, load: Load) -> None:
    """Read every payment of a load, and record what was seen as the last operations of its history.

    Raises:
        psycopg.OperationalError: if the database cannot be reached.
    """
    async with cluster.connect() as connection:
        asked = [
            (
                payment,
                load.observe("read", {"payment": payment, **DIRECTLY}),
                load.observe("attempts", {"payment": payment, **DIRECTLY}),
            )
            for payment in load.payments
        ]
        payments, attempts, as_of = await _contents(connection, load.payments)
    for payment, read, listed in asked:
        view = payments.get(payment)
        if view is None:
            load.observed(read, answered(Outcome.NOT_FOUND))
            load.observed(listed, answered(Outcome.NOT_FOUND))
        else:
            load.observed(read, answered(Outcome.READ, payment=view, as_of=as_of))
            load.observed(listed, answered(Outcome.READ, attempts=attempts[payment]))


async def _contents(
    connection: Connection, wanted: Sequence[str]
) -> tuple[dict[str, View], dict[str, list[View]], int]:
    """The payments, their attempts, and the time of the look, of one snapshot."""
    ids = [UUID(payment) for payment in wanted]
    await connection.execute(b"BEGIN ISOLATION LEVEL REPEATABLE READ")
    rows: Any = await (await connection.execute(_PAYMENTS.encode(), [ids])).fetchall()
    payments: dict[str, View] = {str(row[0]): _view(dict(zip(_NAMES, row[1:], strict=True))) for row in rows}
    rows = await (await connection.execute(_ATTEMPTS.encode(), [ids])).fetchall()
    attempts: dict[str, list[View]] = defaultdict(list)
    for payment, key, amount, outcome, decided_at in rows:
        attempts[str(payment)].append(
            {
                "key": key,
                "amount": amount,
                "outcome": _OUTCOMES.get(outcome, outcome),
                "decided_at": decided_at,
            }
        )
    now: Any = await (await connection.execute(_NOW.encode())).fetchone()
    await connection.execute(b"COMMIT")
    return payments, attempts, now[0]


def _view(row: View) -> View:
    return {"state": row["state"]} | {name: row[name] for name in FIELDS_OF_STATE[row["state"]]}


async def captured(cluster: Cluster) -> AsyncIterator[tuple[str, int]]:
    """Every payment of the database that has a successful capture, and how many it has.

    Raises:
        psycopg.OperationalError: if the database cannot be reached.
    """
    async with cluster.connect() as connection:
        rows: Any = await connection.execute(_CAPTURED.encode())
        async for payment, number in rows:
            yield str(payment), number
