"""Creations under a new id, each of whose statements is hurt: one request makes one payment, or none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import msgspec
import psycopg
from psycopg.rows import scalar_row

from payments_verify.binding import Http, Response
from payments_verify.surface.answers import complaints, problem_of
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.asked import CREATE
from pgweave.gate import Fault, Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_FAULTS = (Fault.CUT_BEFORE, Fault.HALF_SENT, Fault.CUT_AFTER, Fault.COMPLETION_UNKNOWN)
_NEVER_S = 3_600.0
_PAYMENTS = "SELECT payment_id::text FROM payments"
_CREATED, _NOT_NOW = 201, 503


async def wrong_creations(dsn: str) -> str | None:
    """Which creation has made more than its client was told, where its connection was lost; if one has.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    with psycopg.connect(dsn, autocommit=True, row_factory=scalar_row) as outside:
        async with (
            Gate.open(dsn) as gate,
            whole_application(gate.socket_dsn, sweep_interval_s=_NEVER_S) as app,
        ):
            for fault in _FAULTS:
                for place in count():
                    gate.observer = hurts = _HurtsOne(place, fault)
                    before = {*outside.execute(_PAYMENTS)}
                    wrong = _wrong_creation(await _answer(app.http), {*outside.execute(_PAYMENTS)} - before)
                    if wrong is not None:
                        return (
                            f"I7, I11: {CREATE}, with the fault {fault.value!r} at statement {place}: {wrong}"
                        )
                    if not hurts.has_hurt:
                        break
    return None


@dataclass
class _HurtsOne(PassAll):
    """Lets a fault befall one statement.

    Attributes:
        before: how many pass before it.
        fault: what befalls it.
        has_hurt: whether it has come.
    """

    before: int
    fault: Fault
    has_hurt: bool = False

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        is_it, self.before = self.before == 0, self.before - 1
        self.has_hurt |= is_it
        statement.release(self.fault if is_it else None)


async def _answer(http: Http) -> Response:
    return await http.request(CREATE.method, CREATE.path, headers={}, json=CREATE.json)


def _wrong_creation(answer: Response, made: set[str]) -> str | None:
    """What is wrong with an answer and the payments made; where it was lost, there may be one or none."""
    told = f"it is answered {answer.status_code} {answer.text}"
    if wrong := "; ".join(complaints(CREATE.method, CREATE.path, answer)):
        return f"{told}: {wrong}"
    if answer.status_code == _CREATED:
        is_right = made == {msgspec.json.decode(answer.content)["id"]}
    else:
        is_right = answer.status_code == _NOT_NOW and problem_of(answer) == "unavailable" and len(made) <= 1
    return None if is_right else f"{told}, and has made {len(made)} payments: {', '.join(sorted(made))}"
