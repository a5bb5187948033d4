"""What an exploration did and found out about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pgweave.interleavings.strategy import Coverage


@dataclass(frozen=True, slots=True)
class NaiveCount:
    """How many schedules there are without any reduction.

    Attributes:
        schedules: the number.
        known: how it is known: counted, by running every one; or estimated, from random ones.
        probes: how many random schedules an estimate was made from.
        standard_error: how far from the truth the estimate may well be, judged by how its probes differ.
    """

    schedules: float
    known: Literal["counted", "estimated"]
    probes: int = 0
    standard_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """What an exploration did.

    Attributes:
        strategy: its name, with its parameters.
        coverage: what has been run if the exploration is complete.
        complete: whether everything that the strategy calls for was run, and could be.
        schedules: how many runs came to their end.
        abandoned: how many were ended early, because all that could follow is explored elsewhere.
        deepest: the most steps that a run had.
        seconds: how long it took.
        divergences: the plans that could not be run, however often they were tried, and why.
        nondeterminism: the plans that were run twice and did two things, and which.
        naive: how many schedules there are without reduction, if that is known.
        outdated: whether it ended because a run showed something that the runs before it did not know of.
        interchangeable: groups of processes; of schedules in which they change places, one counts for all.
        asymmetry: what a run showed that made them not interchangeable; empty if none did.
    """

    strategy: str
    coverage: Coverage
    complete: bool
    schedules: int
    abandoned: int
    deepest: int
    seconds: float
    divergences: tuple[str, ...] = ()
    nondeterminism: tuple[str, ...] = ()
    naive: NaiveCount | None = None
    outdated: bool = False
    interchangeable: tuple[tuple[int, ...], ...] = ()
    asymmetry: str = ""

    @property
    def exhaustive(self) -> bool:
        """Whether no schedule can do what none of those that were run did."""
        return self.complete and self.coverage in (Coverage.SCHEDULES, Coverage.CLASSES)

    @property
    def trustworthy(self) -> bool:
        """Whether every plan could be run, and did the same when it was run again."""
        return not self.divergences and not self.nondeterminism

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {**asdict(self), "coverage": self.coverage.value}
