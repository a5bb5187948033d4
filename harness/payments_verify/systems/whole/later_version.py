"""A later version's migration comes first, as in a rolling upgrade: processes of this version serve on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import psycopg

from payments_verify.surface.readiness import LIMIT_S, awaited
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.application import WholeApplication, whole_application
from payments_verify.systems.whole.every_kind import Kind, life
from payments_verify.systems.whole.stopped_time import until

_ONE = {"pool_min": 1, "pool_max": 1}
"""So that statements that were prepared before are used after."""
_LATER = (
    *("ALTER TABLE payments ADD COLUMN later text", "ALTER TABLE payment_events ADD COLUMN later text"),
    "CREATE TABLE later_than_this (payment_id uuid REFERENCES payments)",
    "INSERT INTO _yoyo_migration VALUES ('9999', '9999-later', now())",
)
_OK, _CREATED, _CONFLICT = 200, 201, 409


async def wrong_beside_later(dsn: str) -> str | None:
    """What a process does not do any more after a later version's migration, if there is anything.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    async with whole_application(dsn, **_ONE) as before:
        if (wrong := await _wrong_life(before)) is not None:
            return f"I9: {wrong}"
        with psycopg.connect(dsn, autocommit=True) as owner:
            for each in _LATER:
                owner.execute(each.encode())
        wrong = await _wrong_life(before)
    async with whole_application(dsn, **_ONE) as after:  # none of its answers is from before
        ready = await awaited(after.http, _OK, LIMIT_S)
        if ready.status_code != _OK:
            wrong = wrong or f"/readyz answers {ready.status_code}"
        wrong = wrong or await _wrong_life(after)
    return wrong and f"I9: a later version's migration has been applied, and {wrong}"


def _life() -> Sequence[Kind]:
    """A request of each kind, and those that are repeated, of a new payment."""
    payment = uuid4()
    return [
        *life(payment),
        Kind(asked.create(payment), _OK),
        Kind(asked.capture(payment, "k"), _CREATED),
        Kind(asked.capture(payment, "another"), _CONFLICT),
    ]


async def _wrong_life(app: WholeApplication) -> str | None:
    for request, status in _life():
        sent = asked.send(app.http, request)
        await until(sent.done)
        if (wrong := asked.wrong_answer(request, sent, status)) is not None:
            return wrong
    return None
