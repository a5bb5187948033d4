"""The runs of an exploration, judged as they come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic

from pgweave.drive.domain import Judge, Violation
from pgweave.drive.race import Race
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.strategy import SchedulePlan


class JudgedRuns(Generic[Violation]):
    """The runs of one exploration, judged as they come."""

    def __init__(
        self, race: Race[Violation], judge: Judge[Violation], on_run: Callable[[int], object]
    ) -> None:
        self.judge = judge
        self.outcomes: Counter[Hashable] = Counter()
        self.strays: list[str] = []
        self.impatient: set[str] = set()
        self.runs = 0
        self.violation: Violation | None = None
        self.execution: Execution | None = None
        self.found: float | None = None
        self._race = race
        self._on_run = on_run

    def take(self, execution: Execution, _plan: SchedulePlan) -> bool:
        """Judge a complete run; whether it is wrong."""
        self.runs += 1
        self.strays += execution.strays
        self.impatient.update(execution.impatient)
        self.outcomes[self._race.domain.outcomes(execution.result)] += 1
        self._on_run(self.runs)
        violation = self.judge.find_violation(execution)
        if violation is not None:
            self.keep(execution, violation)
        return violation is not None

    def keep(self, execution: Execution, violation: Violation) -> None:
        """Keep a wrong run."""
        self.violation, self.execution = violation, execution
        self.found = self.found or time.perf_counter()
