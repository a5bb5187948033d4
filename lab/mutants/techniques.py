"""The techniques: the command of each, what it tries of a mutant, and what its report says of a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from lab.mutants.catalogue import TechniqueName
from payments_verify.payments.faults.check import FAULTS, HANG_UPS

TrialName: TypeAlias = TechniqueName | Literal["main job", "discovery"]
"""What can be let loose on a mutant: a technique, or all checks of the main job."""
Results = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Kill:
    """How a mutant was found out.

    Attributes:
        tries: how much had been tried, in the technique's own unit.
        seconds: how long that took, once there was something to try.
        size: the size of the smallest counterexample, in ``unit``.
        unit: what the size counts.
        check: the check whose counterexample it is, where a report has several that may differ.
    """

    tries: int
    seconds: float
    size: int
    unit: str
    check: str = ""


@dataclass(frozen=True)
class Technique:
    """A way to find a mutant.

    Attributes:
        name: its name.
        command: the module that is run and its command, with what it is always given.
        budget: what it tries if the mutant says nothing narrower.
        limit_s: the longest that it may take, in seconds; longer on a busy machine.
        tried: the unit of tries.
        tries: how much was tried, where nothing was found.
        kill: the kill that a violated report tells of.
        reads: the part of the package that it depends on; the whole if empty.
        covers_all: whether the budget holds all that a mutant could narrow it to.
        folder: the option that names a folder for what is left behind.
    """

    name: TrialName
    command: tuple[str, ...]
    budget: tuple[str, ...]
    limit_s: float
    tried: str
    tries: Callable[[Results], int]
    kill: Callable[[Results], Kill]
    reads: str = ""
    covers_all: bool = True
    folder: str | None = None


def _cases(results: Results) -> int:
    return sum(int(result["cases"]) for result in results)


def _schedules(results: Results) -> int:
    return sum(int(result["schedules"]) for result in results)


def _first(results: Results) -> tuple[Results, Mapping[str, Any]]:
    """What came before the first violated result, and that."""
    number = next(n for n, result in enumerate(results) if result["verdict"] == "violated")
    return results[:number], results[number]


def _static_kill(results: Results) -> Kill:
    return Kill(_cases(results), results[0]["seconds"], len(results[0]["problems"]), "problems")


def _model_kill(results: Results) -> Kill:
    return Kill(_cases(results), results[0]["seconds"], 1, "calls")


def _machine_kill(results: Results) -> Kill:
    found = results[0]["violation"]
    return Kill(found["examples"], found["seconds"], found["commands"], "commands")


def _stress_kill(results: Results) -> Kill:
    found = results[0]["violation"]
    return Kill(found["rounds"], found["seconds"], found["operations"], "operations")


def _schedule_kill(results: Results, unit: str = "switches") -> Kill:
    before, found = _first(results)
    seconds = sum(result["seconds"] for result in before) + found["seconds_to_violation"]
    tries = _schedules(before) + found["schedules_to_violation"]
    return Kill(tries, round(seconds, 3), found[unit], unit)


def _discovery_kill(results: Results) -> Kill:
    before, found = _first(results)
    return replace(_schedule_kill(results), size=len(before) + 1, unit="races", check=str(found["scenario"]))


def _unless_all(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for name in names for part in ("--scenario", name))


_STATIC = Technique("static", ("lab", "static"), (), 150, "things looked at", _cases, _static_kill)
_MODEL = Technique(
    "model",
    ("payments_verify", "model", "--check", "equivalence"),
    (),
    300,
    "paths",
    _cases,
    _model_kill,
    reads="domain",
)
_MACHINE = Technique(
    "machine",
    ("payments_verify", "machine", "--system", "in-process", "--steps", "20", "--seed", "1"),
    ("--examples", "250"),
    150,
    "programs",
    lambda results: int(results[0]["examples"]),
    _machine_kill,
)
_FAULTS = Technique(
    "faults",
    ("payments_verify", "faults", "--stop-at-first"),
    ("--scenario", "one-capture"),
    180,
    "schedules",
    _schedules,
    partial(_schedule_kill, unit="statements"),
    covers_all=False,
)
_STRESS = Technique(
    "stress",
    ("payments_verify", "stress", "--seed", "1"),
    ("--rounds", "60"),
    150,
    "rounds",
    lambda results: int(results[0]["rounds"]),
    _stress_kill,
    folder="--histories",
)


def _main_job_kill(results: Results) -> Kill:
    """The last that is violated: the job goes on behind one that breaks something else."""
    found = next(result for result in reversed(results) if result["verdict"] == "violated")
    seconds = sum(result["seconds"] for result in results)
    return Kill(_cases(results), round(seconds, 3), len(results), "checks", found["name"])


MAIN_JOB = Technique(
    "main job",
    ("lab", "main-job", "--seed", "1"),
    (),
    1800,
    "cases",
    _cases,
    _main_job_kill,
    folder="--output",
)
"""What `payments-verify verify` tries of a service, one check after the other, up to the one that decides."""


DISCOVERY = Technique(
    "discovery",
    ("payments_verify", "explore", "--discover", "--stop-at-first"),
    (),
    1800,
    "schedules",
    _schedules,
    _discovery_kill,
    folder="--output",
)
"""What `payments-verify explore --discover` tries of a service: no scenario that somebody wrote."""


CHECKS: Mapping[TechniqueName, Sequence[str]] = {
    "static": ("schema and statements",),
    "model": ("model = domain (CrossHair)",),
    "machine": ("stateful machine: in process, PostgreSQL",),
    "exploration": ("every interleaving: in process, PostgreSQL",),
    "faults": (HANG_UPS, FAULTS),
    "stress": ("stress and linearizability",),
}
"""The checks of the main job that a technique is, by their titles."""


def techniques(scenarios: Sequence[str]) -> Mapping[TechniqueName, Technique]:
    """The techniques, from the quickest to the slowest.

    Args:
        scenarios: the scenarios that are explored where a mutant names none.
    """
    exploration = Technique(
        "exploration",
        ("payments_verify", "explore", "--stop-at-first"),
        _unless_all(scenarios),
        180,
        "schedules",
        _schedules,
        _schedule_kill,
        folder="--output",
    )
    return {
        "static": _STATIC,
        "model": _MODEL,
        "machine": _MACHINE,
        "exploration": exploration,
        "faults": _FAULTS,
        "stress": _STRESS,
    }
