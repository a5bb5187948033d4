"""What a run of a race was: the commands outside it, and what the actors asked and were answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from payments_verify.payments.observed.observations import Invocation, Observation
from pgweave.scheduler import ScheduledOperation


@dataclass(frozen=True)
class Exchange:
    """A command and its answer, outside the race."""

    invocation: Invocation
    observation: Observation


@dataclass(frozen=True)
class RaceResult:
    """What a run of a race was.

    Attributes:
        payments: the ids of its payments.
        before: the exchanges that prepared them.
        operations: what the actors did.
        after: the last look.
        now: where the database's clock stood at the end, in µs.
        has_lease: whether a request that failed may leave its key in progress for a while, which was over
            when it was asked again after the race.
        left: what was wrong with the connections that were in use, once everything was answered; or empty.
    """

    payments: tuple[str, ...]
    before: tuple[Exchange, ...]
    operations: tuple[ScheduledOperation, ...]
    after: tuple[Exchange, ...]
    now: int
    left: str = ""
    has_lease: bool = False

    @property
    def outcomes(self) -> tuple[Any, ...]:
        """Every answer, without what is different in each run: ids, instants, bytes."""
        raced = [_outcome_of(operation.result) for operation in self.operations]
        return (*raced, *(_outcome_of(exchange.observation) for exchange in self.after))


def _outcome_of(observation: Observation | None) -> Any:  # noqa: ANN401 - a word or a tuple of words
    if observation is None:
        return "no answer"
    value = observation.value
    if "payment" in value:
        return value["outcome"], value["payment"]["state"]
    if "attempts" in value:
        return tuple(sorted((each["key"], each.get("outcome", "")) for each in value["attempts"]))
    return value.get("outcome", observation.kind) + (" again" if value.get("replayed") else "")
