"""The main job: every check of this repository's model and service, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from payments_verify.audit import complaint
from payments_verify.called import command_line
from payments_verify.model_checks.contracts import check_contracts
from payments_verify.model_checks.equivalence import check_equivalence
from payments_verify.model_checks.proved import Proved, default_folder
from payments_verify.model_checks.state_graph import check_state_graph
from payments_verify.nemesis.check import soak_check
from payments_verify.payments.exploration.check import interleavings_check
from payments_verify.payments.faults.check import FAULTS, HANG_UPS, faults_check
from payments_verify.payments.faults.plans import FaultPlan
from payments_verify.payments.inputs.classes import FEW_REFUSALS
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.races.check import racing_check
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE, SCENARIOS
from payments_verify.payments.scenarios.named import (
    NAMED,
    ON_TWO_INSTANCES,
    ONE_CAPTURE_ON_TWO_INSTANCES,
)
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import (
    SWEEP_EVERY_S,
    gated,
    gated_in_memory,
    gated_on_new_database,
    in_memory,
    in_process,
    on_new_database,
    servers,
    sweep_by_itself,
)
from pgweave.gate import Fault

RunCheck: TypeAlias = Callable[..., CheckResult]
"""Takes ``progress`` by name and returns what it found."""


def model_checks(*, prove_again: bool = False) -> Mapping[str, tuple[str, RunCheck]]:
    """What needs the model and the domain's rules alone, by kind, each with the title it has while it runs.

    Args:
        prove_again: whether to prove what was proved before of the same sources.
    """
    contracts = partial(check_contracts, proved=Proved(default_folder(), again=prove_again))
    equivalence = partial(check_equivalence, proved=Proved(default_folder(), again=prove_again))
    return {
        "contracts": ("contracts (CrossHair)", contracts),
        "equivalence": ("model = domain (CrossHair)", equivalence),
        "exploration": ("bounded model, exhaustively", check_state_graph),
    }


MORE_CHECKS = "payments_verify.checks"
"""Entry points of this group add checks; each is called with the folder of the PostgreSQL to run."""

_STEPS_IN_A_PROGRAM = 20
_SERVER_PROCESSES = 2
_LARGEST = "four-captures"
_IN_PROCESS = "in process, PostgreSQL"
_TWO_INSTANCES = "two instances, its own sweeper"
SWEPT_BY_ITSELF = (SCENARIOS["two-sweepers"], *ON_TWO_INSTANCES)
"""Scenarios of two instances; in them the sweeper's own task sweeps, and not a sweep that is asked for."""
_FAULTS = (
    FaultPlan(ONE_CAPTURE),
    FaultPlan(SCENARIOS["same-key-twice"], (Fault.CUT_AFTER, Fault.COMPLETION_UNKNOWN)),
    FaultPlan(
        SCENARIOS["authorize-twice"],
        (Fault.CUT_AFTER, Fault.COMPLETION_UNKNOWN, Fault.SERIALIZATION_FAILURE),
    ),
    FaultPlan(SCENARIOS["create-twice"], (Fault.SERIALIZATION_FAILURE,)),
    FaultPlan(SCENARIOS["different-keys-and-tick"], (Fault.SERIALIZATION_FAILURE,)),
)
_FAULTS_ON_TWO_INSTANCES = (
    FaultPlan(ONE_CAPTURE_ON_TWO_INSTANCES),
    FaultPlan(NAMED["void-and-sweep-on-two-instances"], (Fault.CUT_AFTER, Fault.SERIALIZATION_FAILURE)),
)


@dataclass(frozen=True)
class Effort:
    """How much of what cannot be exhausted is tried.

    Attributes:
        programs: programs of the stateful machine, for the in-memory system; the others get fewer.
        rounds: rounds of stress.
        scenarios: scenarios whose every interleaving is run, by name.
        soak_s: how long load runs under faults, in seconds.
        probes: random schedules from which the number of all schedules of a scenario is estimated.
    """

    programs: int
    rounds: int
    scenarios: tuple[str, ...]
    soak_s: float
    probes: int = 0


FULL = Effort(programs=600, rounds=400, scenarios=tuple(SCENARIOS), soak_s=60, probes=100)
QUICK = Effort(
    programs=60,
    rounds=40,
    scenarios=tuple(name for name in SCENARIOS if name != _LARGEST),
    soak_s=15,
    probes=20,
)


@dataclass(frozen=True)
class Planned:
    """A check that is going to run.

    Attributes:
        title: what it is called while it runs.
        run: runs it.
        is_proof: whether it finds the same each time, whatever the seed.
        is_long: whether it takes long beside the others.
        of_the_model: whether it depends on the model alone, so that no change of the service changes it.
    """

    title: str
    run: RunCheck
    is_proof: bool = False
    is_long: bool = False
    of_the_model: bool = False


def suite(
    dsn: str,
    effort: Effort,
    seed: int,
    histories: Path,
    schedules: Path,
    bin_dir: Path | None = None,
    *,
    prove_again: bool = False,
) -> Iterator[Planned]:
    """The checks of the main job.

    Args:
        dsn: a prepared database (migrated, with a clock that can be set).
        effort: how much to try.
        seed: draws what is drawn.
        histories: folder for the recorded histories.
        schedules: folder for the schedules of violations.
        bin_dir: the PostgreSQL to run where a check needs a server of its own.
        prove_again: whether to prove what was proved before of the same sources.
    """
    for kind, (title, check) in model_checks(prove_again=prove_again).items():
        yield Planned(title, check, is_proof=True, of_the_model=kind != "equivalence")
    for more in entry_points(group=MORE_CHECKS):
        if find_spec(more.module.partition(".")[0]) is not None:  # a distribution may lack what it names
            yield from more.load()(bin_dir)
    yield from _machines(dsn, effort, seed)
    yield from _explorations(dsn, effort, seed, schedules)
    yield from _faults(dsn, schedules / "faults")
    yield Planned(
        "stress and linearizability",
        partial(
            stress_check,
            f"{_SERVER_PROCESSES} server processes",
            partial(
                on_new_database,
                dsn,
                partial(servers, count=_SERVER_PROCESSES, sweep_every_s=SWEEP_EVERY_S),
                complaint,
            ),
            histories,
            rounds=effort.rounds,
            seed=seed,
        ),
        is_long=True,
    )
    yield Planned(
        "soak under faults",
        partial(soak_check, histories / "soak", seconds=effort.soak_s, seed=seed, bin_dir=bin_dir),
        is_long=True,
    )


def _machines(dsn: str, effort: Effort, seed: int) -> Iterator[Planned]:
    """The stateful machine, on each system."""
    refusing_few = partial(in_process, max_stored_refusals=FEW_REFUSALS)
    audited = partial(on_new_database, dsn, audit=complaint)
    systems = (
        ("in memory", in_memory, effort.programs),
        (_IN_PROCESS, partial(audited, refusing_few), effort.programs // 2),
        (
            "two server processes, PostgreSQL",
            partial(audited, partial(servers, count=_SERVER_PROCESSES)),
            effort.programs // 3,
        ),
    )
    for name, system, programs in systems:
        yield Planned(
            f"stateful machine: {name}",
            partial(machine_check, name, system, examples=programs, steps=_STEPS_IN_A_PROGRAM, seed=seed),
        )


def _explorations(dsn: str, effort: Effort, seed: int, schedules: Path) -> Iterator[Planned]:
    """The scenarios in every order, and races whose order is drawn."""
    for name, service in (("in memory", gated_in_memory), (_IN_PROCESS, partial(gated, dsn))):
        yield Planned(
            f"every interleaving: {name}",
            partial(
                interleavings_check,
                name,
                service,
                [SCENARIOS[each] for each in effort.scenarios],
                schedules / name.replace(", ", "-").replace(" ", "-"),
                probes=effort.probes,
            ),
        )
    yield Planned(
        f"every interleaving: {_TWO_INSTANCES}",
        partial(
            interleavings_check,
            _TWO_INSTANCES,
            partial(gated, dsn, instances=2, sweep=sweep_by_itself),
            SWEPT_BY_ITSELF,
            schedules / "two-instances",
        ),
    )
    yield Planned(
        "stateful machine with races",
        partial(
            racing_check,
            _IN_PROCESS,
            partial(gated_on_new_database, dsn, complaint),
            examples=effort.programs // 4,
            steps=_STEPS_IN_A_PROGRAM,
            seed=seed,
        ),
    )


def _faults(dsn: str, schedules: Path) -> Iterator[Planned]:
    """Something goes wrong at each statement, of clients and of sweeps."""
    check = partial(faults_check, folder=schedules, replay=command_line("replay"))
    on_one = partial(gated, dsn)
    yield Planned(HANG_UPS, partial(check, _IN_PROCESS, on_one, ()), is_long=True)
    yield Planned(FAULTS, partial(check, _IN_PROCESS, on_one, _FAULTS, hangs_up=False), is_long=True)
    on_two = partial(gated, dsn, instances=2, sweep=sweep_by_itself)
    yield Planned(
        f"{FAULTS}: {_TWO_INSTANCES}",
        partial(check, _TWO_INSTANCES, on_two, _FAULTS_ON_TWO_INSTANCES, hangs_up=False),
    )
