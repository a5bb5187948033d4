"""Runs recorded through the gate are behaviours of the specification; those that were doctored are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.cli.tla import modelled
from lab.proof.races import RACES, race_of
from lab.proof.recorded import follow
from lab.tla.behaviours import count_behaviours
from lab.tla.models import read_models
from lab.tla.races import NotModelledError, Protocol, programs_of, protocol_of
from lab.tla.recorded import Trace, statement_of, validate
from lab.tla.recording import Runs, check_runs, record
from lab.tla.values import Function
from payments_core.infrastructure.postgres import statements
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Command, Scenario, Tick, client
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.systems import gated_service
from tests.support.exploring import run
from tests.support.mutants import Edit, mutated_copy, run_harness
from tests.support.seeded_bugs import CLOCK_IN_LOCKING_STATEMENT, LOCK_AND_LOOK_UP_IN_ONE, NO_ROW_LOCK
from tests.support.tla import FOLDER, tlc

# How many classes of schedules each scenario has.
RECORDED = {
    "same-key-twice": 6,
    "different-keys": 6,
    "different-keys-and-tick": 16,
    "window-closes-behind-rollback": 17,
    "capture-and-sweep": 13,
    "read-while-captured": 12,
    "retry-while-under-way": 11,
    "create-twice": 2,
    "two-sweepers": 10,
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Runs]:
    tlc()

    async def main() -> dict[str, Runs]:
        async with gated_service() as service:
            return {name: await record(SCENARIOS[name], service) for name in RECORDED}

    return run(main())


@pytest.mark.parametrize("name", RECORDED)
def test_every_run_is_a_behaviour_of_the_specification(name: str, recorded: dict[str, Runs]) -> None:
    result = check_runs(tlc(), SCENARIOS[name], recorded[name])
    assert result.verdict == "holds", result.counterexample
    assert result.details["accepted"] == result.cases == RECORDED[name]


@pytest.mark.parametrize("name", ["same-key-twice", "different-keys"])
def test_there_are_no_more_behaviours_than_schedules(name: str) -> None:
    tlc()
    result = CliRunner().invoke(
        app, ["tla", "traces", "--every", "--scenario", name, "--specification", str(FOLDER), "--json"]
    )
    assert result.exit_code == 0, result.output
    (check,) = json.loads(result.stdout)
    assert check["accepted"] == check["behaviours"] == check["cases"] == 66


def test_a_specification_with_more_behaviours_than_schedules_is_a_failure(recorded: dict[str, Runs]) -> None:
    result = check_runs(tlc(), SCENARIOS["same-key-twice"], recorded["same-key-twice"], every=True)
    assert result.verdict == "violated"
    assert result.counterexample == "6 schedules were run, and the specification has 66 behaviours"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "behaviours"),
    [("different-keys-and-tick", 852), ("three-captures", 14_940), ("four-captures", 7_509_960)],
)
def test_how_many_behaviours_there_are(name: str, behaviours: int) -> None:
    assert count_behaviours(tlc(), SCENARIOS[name]) == behaviours


Events = list[Function]


def with_event(events: Sequence[Function], statement: str, process: int, **other: object) -> Events:
    """The events with one changed: the first that is such a statement of a process."""
    index = next(
        number
        for number, event in enumerate(events)
        if (event["statement"], event["process"]) == (statement, process)
    )
    return [*events[:index], Function({**events[index], **other}), *events[index + 1 :]]


def waiter_of(events: Sequence[Function]) -> int:
    process: int = next(event["process"] for event in events if event["waits"])
    return process


def answered(outcome: str, *, replayed: bool = False) -> Function:
    return Function(outcome=outcome, replayed=replayed)


def answered_as_new(events: Sequence[Function]) -> Events:
    return with_event(events, "commit", waiter_of(events), answer=answered("captured"))


def lock_without_waiting(events: Sequence[Function]) -> Events:
    return with_event(events, "lock", waiter_of(events), waits=False)


def nobody_is_woken(events: Sequence[Function]) -> Events:
    return [event for event in events if event["statement"] != "wake"]


def woken_too_early(events: Sequence[Function]) -> Events:
    wake = next(event for event in events if event["statement"] == "wake")
    rest = [event for event in events if event is not wake]
    at = next(number for number, event in enumerate(rest) if event["waits"]) + 1
    return [*rest[:at], wake, *rest[at:]]


def clock_before_lock(events: Sequence[Function]) -> Events:
    first = [number for number, event in enumerate(events) if event["process"] == events[0]["process"]]
    order = list(events)
    lock, clock = first[1], first[3]
    order[lock], order[clock] = order[clock], order[lock]
    return order


def a_statement_fails(events: Sequence[Function]) -> Events:
    return with_event(events, "commit", waiter_of(events), failed=True)


def answered_before_commit(events: Sequence[Function]) -> Events:
    early = with_event(events, "update", events[0]["process"], answers=True, answer=answered("captured"))
    return with_event(early, "commit", events[0]["process"], answers=False)


DOCTORED: dict[str, tuple[str, Callable[[Sequence[Function]], Events]]] = {
    "both captures succeed": ("different-keys", answered_as_new),
    "a replay is answered as new": ("same-key-twice", answered_as_new),
    "two hold the lock": ("same-key-twice", lock_without_waiting),
    "a waiter goes on unwoken": ("same-key-twice", nobody_is_woken),
    "a waiter goes on before the lock is free": ("same-key-twice", woken_too_early),
    "the clock is read before the lock": ("different-keys", clock_before_lock),
    "a commit fails": ("different-keys", a_statement_fails),
    "the answer comes before the commit": ("different-keys", answered_before_commit),
}


@pytest.fixture(scope="module")
def followed(recorded: dict[str, Runs]) -> dict[str, tuple[Trace, Trace]]:
    """What becomes of each doctored run, after what becomes of the run that was doctored."""
    traces: dict[str, tuple[Trace, Trace]] = {}
    for name in {name for name, _ in DOCTORED.values()}:
        one = next(events for events in recorded[name] if any(event["waits"] for event in events))
        doctored = {what: doctor(one) for what, (scenario, doctor) in DOCTORED.items() if scenario == name}
        genuine, *others = validate(tlc(), SCENARIOS[name], [one, *doctored.values()])
        traces |= {what: (genuine, other) for what, other in zip(doctored, others, strict=True)}
    return traces


@pytest.mark.parametrize("doctoring", DOCTORED)
def test_a_doctored_run_is_rejected(doctoring: str, followed: dict[str, tuple[Trace, Trace]]) -> None:
    genuine, doctored = followed[doctoring]
    assert genuine.accepted, genuine.problem
    assert not doctored.accepted
    assert "the specification has no such step" in str(doctored.problem)


@pytest.mark.parametrize("name", sorted(RECORDED.keys() & RACES.keys()))
def test_every_run_is_one_of_the_proved_protocol(name: str, recorded: dict[str, Runs]) -> None:
    race = race_of(FOLDER / read_models(FOLDER)[name].configuration)
    problems = [trace.problem for trace in (follow(race, events) for events in recorded[name])]
    assert problems == [None] * RECORDED[name]


@pytest.mark.parametrize("doctoring", DOCTORED)
def test_a_doctored_run_is_none_of_the_proved_protocol(doctoring: str, recorded: dict[str, Runs]) -> None:
    name, doctor = DOCTORED[doctoring]
    race = race_of(FOLDER / read_models(FOLDER)[name].configuration)
    genuine = next(events for events in recorded[name] if any(event["waits"] for event in events))
    assert follow(race, genuine).accepted
    assert not follow(race, doctor(genuine)).accepted


def test_a_run_of_the_service_is_none_of_a_weakened_protocol(recorded: dict[str, Runs]) -> None:
    weakened = race_of(FOLDER / read_models(FOLDER)["weakened-no-lock"].configuration)
    waits = next(events for events in recorded["different-keys"] if any(event["waits"] for event in events))
    assert not follow(weakened, waits).accepted


# The service with a bug, a scenario that shows it, and the weakened model whose protocol it has.
BUGS: dict[str, tuple[Sequence[Edit], str, str]] = {
    "no row lock": ((NO_ROW_LOCK,), "different-keys", "weakened-no-lock-behind-constraints"),
    "lock and look-up in one statement": (
        LOCK_AND_LOOK_UP_IN_ONE,
        "same-key-twice",
        "weakened-look-up-in-lock-behind-constraints",
    ),
    "clock read in the locking statement": (
        CLOCK_IN_LOCKING_STATEMENT,
        "window-closes-behind-lock",
        "weakened-clock-in-lock",
    ),
}


@pytest.mark.parametrize(
    "bug",
    ["no row lock", *(pytest.param(bug, marks=pytest.mark.long) for bug in BUGS if bug != "no row lock")],
)
def test_runs_of_a_bug_are_behaviours_of_its_own_protocol_alone(bug: str, tmp_path: Path) -> None:
    tlc()
    edits, scenario, model = BUGS[bug]
    mutant = mutated_copy(tmp_path / "mutant", edits)
    arguments = ["tla", "traces", "--scenario", scenario, "--specification", str(FOLDER), "--json"]
    as_it_should_be = run_harness(mutant, arguments, program="lab")
    assert as_it_should_be.returncode == 1, as_it_should_be.stdout + as_it_should_be.stderr
    (result,) = json.loads(as_it_should_be.stdout)
    assert result["verdict"] == "violated"
    as_it_is = run_harness(mutant, [*arguments, "--protocol", model], program="lab")
    assert as_it_is.returncode == 0, as_it_is.stdout + as_it_is.stderr
    (result,) = json.loads(as_it_is.stdout)
    assert result["accepted"] == result["cases"] > 0


def test_a_models_protocol_is_read_from_its_configuration() -> None:
    models = read_models(FOLDER)
    assert protocol_of(FOLDER / models["same-key-twice"].configuration) == Protocol()
    weakened = protocol_of(FOLDER / models["weakened-look-up-in-lock"].configuration)
    assert weakened == Protocol(look_up="in the locking statement", constraints=False)


def test_the_scenarios_that_the_specification_has() -> None:
    names = {scenario.name for scenario in modelled()}
    assert set(SCENARIOS) - names == {"four-captures"}


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("a tick far away", "", (Tick(7),)),
        Scenario("another payment", "", (client(Command("capture", {"key": "a", "amount": 1}, payment=1)),)),
    ],
)
def test_what_the_specification_has_no_words_for_is_said(scenario: Scenario) -> None:
    with pytest.raises(NotModelledError, match="the specification has no"):
        programs_of(scenario)


def test_a_statement_that_it_does_not_have_is_said() -> None:
    with pytest.raises(NotModelledError, match="DELETE"):
        statement_of("DELETE FROM payments")


def test_what_was_created_is_read_though_it_is_kept() -> None:
    assert statement_of(" ".join(statements.FIND_CREATED.split())) == "read"
    assert statement_of(" ".join(statements.GET_PAYMENT.split())) == "read"
    assert statement_of(" ".join(statements.LOCK_PAYMENT.split())) == "lock"


def test_a_scenario_that_it_does_not_have_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tlc()
    monkeypatch.setitem(NAMED, "far-away", Scenario("far-away", "", (Tick(7),)))
    result = CliRunner().invoke(
        app, ["tla", "traces", "--scenario", "far-away", "--specification", str(FOLDER)]
    )
    assert result.exit_code == 2
    assert "no instant +7 µs from the window's end" in result.stderr
