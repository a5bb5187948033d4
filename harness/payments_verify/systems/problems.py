"""The problem types of the service's contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from payments_core.entrypoints.http.contract.descriptions import DESCRIPTIONS


@dataclass(frozen=True)
class ProblemType:
    """A problem type: the name, the HTTP status, and when it is answered."""

    name: str
    status: int
    when: str


def problem_types() -> Sequence[ProblemType]:
    """Every problem type, in the order of the statuses."""
    found = [ProblemType(kind.name, kind.status, said.when) for kind, said in DESCRIPTIONS.items()]
    return sorted(found, key=lambda problem: (problem.status, problem.name))
