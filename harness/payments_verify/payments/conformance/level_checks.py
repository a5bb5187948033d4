"""The checks of each level of conformance, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from payments_verify.payments.exploration.check import drawn_interleavings_check
from payments_verify.payments.faults.check import faults_check
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.programs.windows_at_once import check_windows_at_once
from payments_verify.payments.scenarios.catalogue import Scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.stress.at_once import crowd_check
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult, Progress

if TYPE_CHECKING:
    from payments_verify.payments.conformance.examination import Examination, Trials

_Check: TypeAlias = Callable[[], CheckResult]

_PART_ON_TWO = 2
"""Which part of programs and rounds two processes have, beside those of one."""
_TWO = ", two processes"
_ONE_BY_DESIGN = (
    "Two processes of the service serve over one database here, each at an address of its own. Where there is"
    " one by design, with what it locks, or the answers that it keeps, in its memory, the binding says so:"
    ' service.processes = "one", or "one in memory".'
)


@dataclass(frozen=True)
class LevelChecks:
    """What is run for a level.

    Attributes:
        examination: what can be run on the service.
        trials: how much to try.
        folder: for histories, schedules and pictures.
        seed: draws what is drawn.
        progress: is told how far it has come.
    """

    examination: Examination
    trials: Trials
    folder: Path
    seed: int
    progress: Progress

    def of(self, level: int) -> Iterator[_Check]:
        """The checks of a level; where there are none, nothing of it was chosen."""
        match level:
            case 1 | 2:
                return self._one_after_the_other(level)
            case 3:
                return self._at_once()
            case 4:
                return self._every_interleaving()
        return self._faults()

    def _one_after_the_other(self, level: int) -> Iterator[_Check]:
        examination, two = self.examination, self.examination.on_two
        if examination.has("programs", level):
            yield lambda: self._programs(level, examination.open_service)
            if level > 1 and two is not None:
                few = self.trials.programs // _PART_ON_TWO
                yield lambda: _on_two(self._programs(level, two.open_service, _TWO, few))
        if level == 1 and examination.has("windows", level):
            yield lambda: windows_check(examination.name, examination.open_service)

    def _programs(
        self, level: int, open_service: OpenService, processes: str = "", examples: int | None = None
    ) -> CheckResult:
        return machine_check(
            f"{'keys used once' if level == 1 else 'keys used again'}{processes}",
            open_service,
            examples=self.trials.programs if examples is None else examples,
            steps=self.trials.steps,
            seed=self.seed,
            progress=self.progress,
            reuses_keys=level > 1,
        )

    def _at_once(self) -> Iterator[_Check]:
        examination, two = self.examination, self.examination.on_two
        if examination.has("stress", 3):
            yield lambda: self._stress(examination.open_service, "", self.trials.rounds)
            if two is not None:
                few = self.trials.rounds // _PART_ON_TWO
                yield lambda: _on_two(self._stress(two.open_service, _TWO, few))
        if examination.has("crowd", 3):
            yield lambda: crowd_check(examination.name, examination.open_service)
        if not examination.moves_clock and examination.has("windows", 3):
            waited = partial(check_windows_at_once, seed=self.seed)
            yield lambda: windows_check(f"{examination.name}, by waiting", examination.open_service, waited)

    def _stress(self, open_service: OpenService, processes: str, rounds: int) -> CheckResult:
        return stress_check(
            f"{self.examination.name}{processes}",
            open_service,
            self.folder / "histories" / ("on-two" if processes else ""),
            rounds=rounds,
            seed=self.seed,
            progress=self.progress,
        )

    def _every_interleaving(self) -> Iterator[_Check]:
        examination, two = self.examination, self.examination.on_two
        on_two = () if two is None else two.scenarios
        if examination.scenarios or not on_two:
            yield lambda: self._races(examination.open_behind_gate, examination.scenarios, "")
        if two is not None and on_two:
            yield lambda: _on_two(self._races(two.open_behind_gate, on_two, _TWO))

    def _races(
        self, open_service: OpenService | None, scenarios: Sequence[Scenario], processes: str
    ) -> CheckResult:
        assert open_service is not None
        return drawn_interleavings_check(
            f"{self.examination.name}{processes}",
            open_service,
            scenarios,
            self.folder / "schedules",
            replay=self.examination.replay,
            progress=self.progress,
        )

    def _faults(self) -> Iterator[_Check]:
        examination, open_service = self.examination, self.examination.open_behind_gate
        assert open_service is not None
        if examination.fault_plans or examination.hangs_up or examination.kills:
            yield lambda: faults_check(
                examination.name,
                open_service,
                examination.fault_plans,
                self.folder / "schedules",
                replay=examination.replay,
                progress=self.progress,
                hangs_up=examination.hangs_up,
                kills=examination.kills,
            )


def _on_two(result: CheckResult) -> CheckResult:
    """The result of a check of two processes, which says so where something is wrong."""
    details = {**result.details, "processes": 2}
    if result.verdict != "violated":
        return replace(result, details=details)
    return replace(result, details=details, counterexample=f"{_ONE_BY_DESIGN}\n\n{result.counterexample}")
