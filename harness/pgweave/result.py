"""What an exploration has found, and the file of a wrong schedule."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgweave.interleavings.minimize import switches
from pgweave.scenario import UseError
from pgweave.verdict import Judged, Verdict
from pgweave.visible import counted

_FORMAT, _VERSION = "pgweave-schedule", 1


@dataclass(frozen=True)
class Result(Judged):
    """What was found.

    Attributes:
        schedules: how many schedules were run: of those that differ in the order of independent statements
            alone, one.
        complete: whether these were all.
        problem: what is wrong, in the first wrong schedule; empty if nothing is.
        picture: that schedule with few switches between clients, drawn; that of a replay in any case.
        schedule: the clients in the order of their statements there.
        labels: these statements.
        unclear: why some schedules could not be run, or did otherwise when they were run again.
        file: where the wrong schedule is kept, if it is.
        operations: the names of those who raced, where they were discovered.
        polled: whether some client asked the same again and again, and was then not scheduled until another
            had done something: that it gives up before that was not run.
    """

    schedules: int
    complete: bool
    problem: str = ""
    picture: str = ""
    schedule: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    file: Path | None = None
    operations: tuple[str, ...] = ()
    polled: bool = False

    @property
    def verdict(self) -> Verdict:
        """``holds`` if every schedule was run, and nothing was wrong in any."""
        if self.problem:
            return "violated"
        return "holds" if self.complete and not self.unclear else "no verdict"

    @property
    def switches(self) -> int:
        """How often another client goes on in the wrong schedule."""
        return switches(self.schedule)

    def save(self, path: Path | str) -> None:
        """Write the wrong schedule to a file, for `replay`.

        Raises:
            UseError: there is none.
        """
        if not self.problem:
            raise UseError("there is no wrong schedule to save")
        content = {
            "format": _FORMAT,
            "version": _VERSION,
            "schedule": self.schedule,
            "statements": self.labels,
            **({"operations": self.operations} if self.operations else {}),
        }
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def kept_in(self, file: Path) -> Result:
        """The same, with its wrong schedule written to a file.

        Raises:
            UseError: there is none.
            OSError: it cannot be written.
        """
        self.save(file)
        return replace(self, file=file)

    def as_json(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "verdict": self.verdict,
            "schedules": self.schedules,
            "complete": self.complete,
            "problem": self.problem,
            "picture": self.picture,
            "schedule": self.schedule,
            "statements": self.labels,
            "unclear": self.unclear,
            "polled": self.polled,
            "file": None if self.file is None else str(self.file),
        }

    def __str__(self) -> str:
        if self.problem:
            kept = f"\n\nthe schedule is in {self.file}" if self.file is not None else ""
            return f"violated in schedule {self.schedules}: {self.problem}\n\n{self.picture}{kept}"
        if self.holds:
            return f"holds in this schedule\n\n{self.picture}" if self.picture else self._all_hold
        why = "; ".join(self.unclear) or "not everything was run"
        return f"no verdict: after {counted(self.schedules, 'schedule')}: {why}"

    @property
    def _all_hold(self) -> str:
        polled = "; clients that ask the same again and again wait for others" if self.polled else ""
        return f"holds: {counted(self.schedules, 'schedule')}, one of each class{polled}"


def read_schedule(path: Path | str) -> Result:
    """The schedule of a file, its statements, and whose they are where they were discovered.

    Raises:
        UseError: the file is none.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found = content["format"], content["version"]
        kept = Result(
            1,
            complete=False,
            schedule=tuple(content["schedule"]),
            labels=tuple(content["statements"]),
            operations=tuple(content.get("operations", ())),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UseError(f"{path} is no schedule: {error!r}") from error
    if found != (_FORMAT, _VERSION):
        raise UseError(f"{path} is no schedule: its format is {found}, and not {(_FORMAT, _VERSION)}")
    return kept
