"""What became of each level of conformance, and the verdict on the service that follows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from payments_verify.result import CheckResult
from pgweave.verdict import EXIT_CODES, Verdict, worst

LEVELS = {
    1: "sequential",
    2: "idempotent",
    3: "concurrent",
    4: "every interleaving",
    5: "faults",
}
"""The levels and their names."""
NOT_FOLLOWED = "its statements cannot be followed, see: not checked"
"""Why level 4 or 5 was not run."""

LevelVerdict: TypeAlias = Verdict | Literal["not run"]
"""A level that was not run has no verdict, and says why."""


@dataclass(frozen=True)
class LevelResult:
    """What became of a level.

    Attributes:
        level: its number.
        verdict: what became of it.
        checks: what was run for it.
        reason: why it was not run.
        part: what of it was chosen, where that is not all of it; its verdict is on that alone.
    """

    level: int
    verdict: LevelVerdict
    checks: tuple[CheckResult, ...] = ()
    reason: str | None = None
    part: str | None = None

    @property
    def cases(self) -> int:
        """How many cases the verdict rests on."""
        return sum(check.cases for check in self.checks)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(check.seconds for check in self.checks)

    @property
    def left_out(self) -> str | None:
        """Why it was not run, or what its checks did not come to; ``None`` if they came to everything.

        A check that ends at a violation has come to what it tells.
        """
        missed = (str(check.reach or "") for check in self.checks if check.verdict != "violated")
        return "; ".join(filter(None, (self.reason, self.part, *missed))) or None

    @property
    def counterexample(self) -> str | None:
        """What is wrong, or why there is no verdict."""
        return next((check.counterexample for check in self.checks if check.counterexample), None)

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "level": self.level,
            "name": LEVELS[self.level],
            "verdict": self.verdict,
            "reason": self.reason,
            "part": self.part,
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "counterexample": self.counterexample,
            "checks": [check.as_json() for check in self.checks],
        }


@dataclass(frozen=True)
class Conformance:
    """The verdict on a service.

    Attributes:
        service: what it is, for people.
        asked: the levels that were asked for.
        levels: every level, those that were not run included.
        unchecked: what was not checked, and why.
    """

    service: str
    asked: Sequence[int]
    levels: tuple[LevelResult, ...]
    unchecked: tuple[str, ...] = field(default=())

    @property
    def reached(self) -> int | None:
        """The highest level that holds, whole, with all below it.

        0 for none, and ``None`` for none where the lowest was not asked for whole.
        """
        if self.asked[0] != 1 or self.levels[0].part:
            return None
        held = [each.level for each in self.levels if each.level in self._held and not each.part]
        return max((number for number in held if held[:number] == [*range(1, number + 1)]), default=0)

    @property
    def summary(self) -> str:
        """What was reached, in words, and what was left out."""
        first, held = self.asked[0], self._held
        left_out = [number for number in range(1, self.asked[-1]) if number not in self.asked]
        parts = [f"level {each.level} {each.part}" for each in self.levels if each.part]
        if self.reached is not None and not left_out and not parts:
            return f"level {self.reached}"
        told = f"level {first} was asked for first, and does not hold or has no verdict"
        if held:
            told = f"level {first} holds" if held == [first] else f"levels {_spans(held)} hold"
        return "; ".join([told, *parts, *([f"{_spans(left_out)} left out"] if left_out else [])])

    @property
    def _held(self) -> list[int]:
        """The levels that hold, up to the first that was asked for and does not."""
        by_number = {each.level: each for each in self.levels}
        held: list[int] = []
        for number in self.asked:
            if by_number[number].verdict != "holds":
                break
            held.append(number)
        return held

    @property
    def verdict(self) -> Verdict:
        """The verdict on the levels that were asked for, together."""
        return worst(result.verdict for result in self.levels if result.level in self.asked)

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {
            "format": "payments-verify-conformance",
            "version": 1,
            "service": self.service,
            "level": self.reached,
            "summary": self.summary,
            "asked": list(self.asked),
            "verdict": self.verdict,
            "exit_code": EXIT_CODES[self.verdict],
            "levels": [result.as_json() for result in self.levels],
            "unchecked": list(self.unchecked),
        }


def conclude(
    service: str,
    asked: Sequence[int],
    found: Sequence[LevelResult],
    unchecked: Sequence[str] = (),
    ended_by: str | None = None,
    not_followed: Collection[int] = (),
) -> Conformance:
    """The verdict on a service, every level included.

    Args:
        service: what it is, for people.
        asked: the levels that were asked for.
        found: the results on those that came to a result.
        unchecked: what was not checked, and why.
        ended_by: what ended the examination early; ``None`` if nothing did.
        not_followed: the levels that would have been asked for, could the statements be followed.
    """
    results = {result.level: result for result in found}
    last = found[-1] if found else None
    next_ = next((number for number in asked if number not in results), None)
    if ended_by is not None and last is not None and last.verdict == "no verdict" and not last.checks:
        results[last.level] = replace(last, reason=f"{ended_by}; {last.reason}" if last.reason else ended_by)
    elif ended_by is not None and next_ is not None and (last is None or last.verdict == "holds"):
        results[next_] = LevelResult(next_, "no verdict", reason=ended_by)
    stopped = next((each.level for each in results.values() if each.verdict != "holds"), None)

    def left(number: int) -> LevelResult:
        if number in not_followed:
            reason = NOT_FOLLOWED
        elif number not in asked and number < asked[-1]:
            reason = "it was left out"
        elif number not in asked or stopped is None:
            reason = "it was not asked for"
        else:
            reason = f"level {stopped} does not hold, or has no verdict"
        return LevelResult(number, "not run", reason=reason)

    levels = tuple(results.get(number) or left(number) for number in LEVELS)
    return Conformance(service, asked, levels, tuple(unchecked))


def _spans(numbers: Sequence[int]) -> str:
    """Numbers in words: ``1 to 3``, ``1 and 4``."""
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 1:
        return f"{numbers[0]} to {numbers[-1]}"
    return " and ".join(map(str, numbers))
