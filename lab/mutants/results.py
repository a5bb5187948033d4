"""The kill matrix: what each technique says of each mutant, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lab.mutants.catalogue import Catalogue, TechniqueName
from lab.mutants.plan import UNMUTATED, Planned
from lab.mutants.techniques import Technique
from lab.mutants.trial import Trial, TrialState
from pgweave.verdict import EXIT_CODES, Verdict

FORMAT = "payments-verify-mutants"
VERSION = 2

CellState: TypeAlias = TrialState | Literal["another reason", "not tried", "not yet"]
"""``another reason``: killed, by what it is not said to break, as by a 500. ``not tried``: not of the plan.
``not yet``: of the plan, and the run ended before."""
Fate: TypeAlias = Literal["killed", "survived", "not yet", "no verdict"]

_WORST: Sequence[TrialState] = ("killed", "no verdict", "timed out", "survived")


@dataclass(frozen=True)
class Cell:
    """What a technique says of a row.

    Attributes:
        state: what came of it.
        trial: the trial that says so; of several the worst.
        expected: whether it should find the mutant.
    """

    state: CellState
    trial: Trial | None = None
    expected: bool = False

    def as_json(self) -> dict[str, Any]:
        """The cell as plain data."""
        trial = self.trial
        return {
            "state": self.state,
            "expected": self.expected,
            "tries": None if trial is None else trial.tries,
            "seconds": None if trial is None else trial.seconds,
            "size": None if trial is None else trial.size,
            "unit": None if trial is None else trial.unit,
            "wall_seconds": None if trial is None else trial.wall_s,
            "command": None if trial is None else list(trial.arguments),
            "evidence": None if trial is None or not trial.evidence else trial.evidence,
            "breaks": None if trial is None or trial.breaks is None else list(trial.breaks),
        }


@dataclass(frozen=True)
class Matrix:
    """Rows of cells: the code as it is, then the mutants.

    Attributes:
        catalogue: the mutants.
        techniques: the columns.
        rows: a cell for each technique, by row.
    """

    catalogue: Catalogue
    techniques: Mapping[TechniqueName, Technique]
    rows: Mapping[str, Mapping[TechniqueName, Cell]]

    @property
    def mutants(self) -> list[str]:
        """The rows but that of the code as it is."""
        return [row for row in self.rows if row != UNMUTATED]

    @property
    def survivors(self) -> list[str]:
        """Mutants that every trial of the plan left alive."""
        return [row for row in self.mutants if self.fate(row) == "survived"]

    @property
    def missed(self) -> list[tuple[str, TechniqueName]]:
        """Mutants, and techniques that should have found them and did not."""
        return [
            (row, name)
            for row in self.mutants
            for name, cell in self.rows[row].items()
            if cell.expected and cell.state in ("survived", "timed out", "no verdict", "another reason")
        ]

    @property
    def false_alarms(self) -> list[TechniqueName]:
        """Techniques that call the code as it is wrong."""
        return [name for name, cell in self.rows[UNMUTATED].items() if cell.state == "killed"]

    @property
    def unfinished(self) -> list[str]:
        """Rows of which not everything is known that has to be."""
        return [row for row in self.rows if self.fate(row) in ("not yet", "no verdict")]

    @property
    def verdict(self) -> Verdict:
        """Violated by a survivor or a false alarm; none if anything is unfinished."""
        if self.survivors or self.false_alarms:
            return "violated"
        return "no verdict" if self.unfinished else "holds"

    @property
    def summary(self) -> str:
        """What the verdict means."""
        return {
            "holds": "every mutant is killed, and the code as it is survives",
            "violated": "a mutant survives, or the code as it is does not",
            "no verdict": "the matrix is not complete",
        }[self.verdict]

    def fate(self, row: str) -> Fate:
        """What the cells of a row say together."""
        cells = self.rows[row].values()
        states = {cell.state for cell in cells} - {"not tried"}
        states_expected = {cell.state for cell in cells if cell.expected}
        if row == UNMUTATED:
            # It survives only where every technique came to its end.
            if "killed" in states:
                return "killed"
            if states & {"no verdict", "timed out"}:
                return "no verdict"
            return "not yet" if "not yet" in states or not states else "survived"
        if "killed" in states:
            return "no verdict" if states_expected & {"no verdict", "timed out"} else "killed"
        if "not yet" in states or not states:
            return "not yet"
        return "no verdict" if states == {"no verdict"} else "survived"

    def as_json(self) -> dict[str, Any]:
        """The matrix as plain data, without when and where it was made."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "verdict": self.verdict,
            "summary": self.summary,
            "exit_code": EXIT_CODES[self.verdict],
            "killed": sum(self.fate(row) == "killed" for row in self.mutants),
            "total": len(self.mutants),
            "survivors": self.survivors,
            "false_alarms": self.false_alarms,
            "unfinished": self.unfinished,
            "missed": [{"mutant": row, "technique": name} for row, name in self.missed],
            "techniques": [
                {
                    "name": each.name,
                    "command": [*each.command, *each.budget],
                    "limit_seconds": each.limit_s,
                    "tries": each.tried,
                }
                for each in self.techniques.values()
            ],
            "unmutated": self._row(UNMUTATED),
            "mutants": [self._mutant(row) for row in self.mutants],
        }

    def _row(self, row: str) -> dict[str, Any]:
        return {
            "verdict": self.fate(row),
            "cells": {name: cell.as_json() for name, cell in self.rows[row].items()},
        }

    def _mutant(self, name: str) -> dict[str, Any]:
        mutant = self.catalogue[name]
        return {
            "name": name,
            "category": mutant.category,
            "stands_for": mutant.stands_for.strip(),
            "breaks": list(mutant.breaks),
            "expected": list(mutant.expected),
            **self._row(name),
        }


def matrix(
    catalogue: Catalogue,
    rows: Sequence[str],
    techniques: Mapping[TechniqueName, Technique],
    plan: Sequence[Planned],
    done: Mapping[str, Trial],
) -> Matrix:
    """Put together what came of a plan.

    Args:
        catalogue: the mutants.
        rows: the rows, in their order.
        techniques: the columns, in their order.
        plan: the trials.
        done: what came of them, by their keys.
    """
    return Matrix(
        catalogue,
        techniques,
        {row: {name: _cell(catalogue, row, name, plan, done) for name in techniques} for row in rows},
    )


def _cell(
    catalogue: Catalogue,
    row: str,
    technique: TechniqueName,
    plan: Sequence[Planned],
    done: Mapping[str, Trial],
) -> Cell:
    expected = row != UNMUTATED and technique in catalogue[row].expected
    keys = [each.key for each in plan if (each.row, each.technique.name) == (row, technique)]
    if not keys:
        return Cell("not tried", expected=expected)
    trials = [done[key] for key in keys if key in done]
    if len(trials) < len(keys) and not any(trial.state == "killed" for trial in trials):
        return Cell("not yet", expected=expected)
    worst = min(trials, key=lambda trial: (_WORST.index(trial.state), not counts(catalogue, row, trial)))
    is_its_own = worst.state != "killed" or counts(catalogue, row, worst)
    return Cell(worst.state if is_its_own else "another reason", worst, expected)


def counts(catalogue: Catalogue, row: str, trial: Trial) -> bool:
    """Whether a counterexample breaks what the mutant is said to break, as far as that is told."""
    if row == UNMUTATED or trial.breaks is None:
        return True
    return not set(trial.breaks).isdisjoint(catalogue[row].breaks)
