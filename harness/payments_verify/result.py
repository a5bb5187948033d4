"""What one check found: the record that every check of the harness returns and the report is made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from pgweave.verdict import Verdict, worst

Progress: TypeAlias = Callable[[int, int, str], None]
"""Called as ``progress(done, total, text)`` while a check runs; ``text`` names what was just done."""


@dataclass(frozen=True)
class Reach:
    """What a check had planned to reach, and what it has reached. Its verdict is only on what it reached.

    Attributes:
        kinds: what is counted: ``"kinds of fault"``.
        planned: their names.
        reached: those of them that happened.
    """

    kinds: str
    planned: Sequence[str]
    reached: Collection[str]

    @property
    def missed(self) -> list[str]:
        """Those that did not happen."""
        return [name for name in self.planned if name not in self.reached]

    def __str__(self) -> str:
        """How many happened, and which did not; empty if all did."""
        if not self.missed:
            return ""
        happened = len(self.planned) - len(self.missed)
        return f"{happened} of {len(self.planned)} {self.kinds}; not reached: {', '.join(self.missed)}"

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"kinds": self.kinds, "planned": list(self.planned), "not_reached": self.missed}


def line_of(verdict: str, reach: Reach | None) -> str:
    """A verdict as it is printed: ``holds`` is followed by what was not reached."""
    return f"{verdict} for {reach}" if verdict == "holds" and reach is not None and str(reach) else verdict


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: What was checked, for people: ``"contracts of payments_model"``.
        kind: The method: ``"contracts"``, ``"equivalence"``, ``"exploration"``...
        cases: How many cases the verdict rests on: conditions, paths, transitions, histories...
        verdict: Whether the property holds. Only ``"holds"`` is a success.
        seconds: Wall-clock time.
        details: More, by kind; names and values that JSON can express.
        counterexample: The evidence of a violation, or why there is no verdict; ``None`` if it holds.
        timelines: The same evidence for a page to draw, as plain data; empty where nothing happens in time.
        reach: What it was to come to, and came to; ``None`` where it comes to all or has no verdict.
        note: What a reader has to know of how it was found; empty if nothing.

    Raises:
        ValueError: if a name in ``details`` is one of the fields' own, or if a check that does not hold
            gives no counterexample, or one that holds gives one.
    """

    name: str
    kind: str
    cases: int
    verdict: Verdict
    seconds: float
    details: Mapping[str, Any] = field(default_factory=dict)
    counterexample: str | None = None
    timelines: Sequence[Mapping[str, Any]] = ()
    reach: Reach | None = None
    note: str = ""

    def __post_init__(self) -> None:
        taken = {each.name for each in fields(self)} & set(self.details)
        if taken:
            raise ValueError(
                f"details of check {self.name!r} repeat the result's own fields: {sorted(taken)}"
            )
        if (self.verdict == "holds") != (self.counterexample is None):
            raise ValueError(
                f"check {self.name!r} {self.verdict}: a counterexample belongs to every verdict but 'holds'"
            )

    @property
    def line(self) -> str:
        """The verdict as it is told, with what was not reached."""
        line = line_of(self.verdict, self.reach)
        return f"{line} ({self.note})" if self.note else line

    def as_json(self) -> dict[str, Any]:
        """The result as one JSON object: its fields, and the details beside them."""
        return {
            "name": self.name,
            "kind": self.kind,
            "cases": self.cases,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "counterexample": self.counterexample,
            "timelines": list(self.timelines),
            "reach": None if self.reach is None else self.reach.as_json(),
            "note": self.note,
            **self.details,
        }


def overall_line(results: Sequence[CheckResult]) -> str:
    """The verdict on several checks together as it is printed, with what any of them did not reach."""
    verdict = worst(result.verdict for result in results)
    missed = [
        f"{result.name}: {result.reach}"
        for result in results
        if result.verdict == "holds" and str(result.reach or "")
    ]
    if verdict != "holds" or not missed:
        return verdict
    return f"holds as far as it reached; {'; '.join(missed)}"


def no_progress(_done: int, _total: int, _text: str) -> None:
    """Show no progress: the default."""


def unfinished(name: str, why: str) -> CheckResult:
    """The result on a check that came to no end."""
    return CheckResult(
        name=name, kind="unfinished", cases=0, verdict="no verdict", seconds=0.0, counterexample=why
    )


class CheckEnded(BaseException):
    """A check was ended, by an interrupt or an error; the cause says by what.

    Attributes:
        result: what it had found.
    """

    def __init__(self, result: CheckResult) -> None:
        self.result = result
        super().__init__(result.counterexample)


class ViolationFound(CheckEnded):
    """It had found a violation."""


@contextmanager
def findings_kept(so_far: Callable[[], CheckResult]) -> Iterator[None]:
    """Keep what was found in the block, also if it is ended early.

    Args:
        so_far: the result on what was found until it is called: a violation, or no verdict.

    Raises:
        CheckEnded: the block was ended.
    """
    try:
        yield
    except BaseException as error:
        result = so_far()
        raise (ViolationFound if result.verdict == "violated" else CheckEnded)(result) from error


@contextmanager
def violation_kept(so_far: Callable[[], CheckResult]) -> Iterator[None]:
    """Keep a violation that was found in the block, also if it is ended early.

    Args:
        so_far: the result on what was found until it is called.

    Raises:
        ViolationFound: the block was ended, and one had been found.
    """
    try:
        yield
    except BaseException as error:
        result = so_far()
        if result.verdict == "violated":
            raise ViolationFound(result) from error
        raise
