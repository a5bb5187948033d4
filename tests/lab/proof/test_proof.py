"""The proof for any number of clients: it holds, it can fail, and it is about the protocol that runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from lab.cli import app
from lab.proof import agreement
from lab.proof.agreement import check_agreement, comparable
from lab.proof.check import Proof, check_proof
from lab.proof.counterexample import NoCounterexampleError, find
from lab.proof.few import Client, Race, Values, explore
from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES
from lab.proof.protocol import Protocol
from lab.proof.races import AUTHORIZED, ModelRace, race_of
from lab.proof.vocabulary import Options
from lab.proof.weakened import WEAKENED, check_refuted, shortest_run
from lab.tla.models import read_models
from tests.support.tla import FOLDER, tlc

MODELS = read_models(FOLDER)
COMPARED = [model.name for model in comparable(MODELS, FOLDER)]
QUICK_MODELS = ("same-key-twice", "create-twice", "replicated-same-key-twice", "weakened-look-up-in-lock")
QUICK_WEAKENED = ("no-lock",)
EVERY_FAULT = tuple(Protocol(Values(Race([])), Options()).faults())


def some_quick(names: Iterable[str], quick: tuple[str, ...]) -> list[object]:
    return [name if name in quick else pytest.param(name, marks=pytest.mark.long) for name in names]


@pytest.mark.invariant("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11")
def test_the_protocol_is_proved() -> None:
    result = check_proof()
    assert result.counterexample is None
    assert result.cases == len(Proof()) > 700


@pytest.mark.long
def test_what_needs_no_order_is_proved_where_the_clock_is_set_back() -> None:
    result = check_proof(Options(clock_steps_back=True))
    assert result.counterexample is None
    assert result.cases < len(Proof())


@pytest.mark.parametrize("name", some_quick(WEAKENED, QUICK_WEAKENED))
def test_a_weakened_protocol_is_refuted(name: str) -> None:
    result = check_refuted(name)
    assert result.counterexample is None
    assert result.cases > 0
    assert result.details["run"]
    assert result.details["clients"]["induction"] == 1
    assert result.details["clients"]["run"] <= 3


@pytest.mark.parametrize("name", some_quick(WEAKENED, ("no-lock", "replay-does-not-wait")))
def test_the_protocol_as_it_is_has_no_run_like_that(name: str) -> None:
    weak = WEAKENED[name]
    sound = replace(weak, options=Options())
    assert shortest_run(sound) is None
    assert shortest_run(weak) is not None


@pytest.mark.parametrize(
    "missing",
    [
        "seen is there",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ("deciders hold", "writers hold", "captures")
        ),
    ],
)
def test_a_smaller_invariant_is_not_inductive(missing: str) -> None:
    fewer = [each for each in CONJUNCTS if each.name != missing]
    result = check_proof(conjuncts=fewer)
    assert result.verdict == "violated"


def test_a_counterexample_to_induction_is_a_step_that_can_be_taken() -> None:
    proof = Proof(Options(locking=False))
    goal = next(each for each in CONJUNCTS if each.name == "deciders hold")
    found = find(proof, "lock", goal, proof.conjuncts)
    protocol = Protocol(Values(found.race), proof.options)
    assert all(each.says(protocol, found.before) for each in CONJUNCTS)
    assert not goal.says(protocol, found.after)


def test_where_a_step_keeps_it_there_is_no_counterexample() -> None:
    proof = Proof()
    with pytest.raises(NoCounterexampleError, match="begin keeps 'one holder'"):
        find(proof, "begin", CONJUNCTS[0], proof.conjuncts)


@pytest.mark.parametrize(
    "clients",
    [
        [Client("capture", "k1", 500), Client("capture", "k1", 501)],
        [Client("create", amount=500), Client("create", amount=501), Client("authorize")],
        [Client("create", amount=500), Client("capture", "k1", 500), Client("read")],
        [Client("sweep"), Client("sweep"), Client("tick", to=2)],
    ],
    ids=["captures", "creation", "unknown", "sweepers"],
)
def test_every_state_that_is_reached_keeps_the_invariant(clients: list[Client]) -> None:
    """So the invariant is no contradiction, from which anything would follow."""
    creates = any(client.does == "create" for client in clients)
    race = Race(clients, {} if creates else {0: AUTHORIZED}, faults=1)
    graph = explore(race, Options(constraints=True), EVERY_FAULT)
    protocol = Protocol(Values(race), Options(constraints=True))
    assert len(graph.states) > 50
    for state in graph.states.values():
        assert [each.name for each in CONJUNCTS if not each.says(protocol, state)] == []


def test_steps_of_a_race_have_their_properties() -> None:
    model = race_of(FOLDER / MODELS["same-key-twice"].configuration)
    graph = explore(model.race, model.options, model.faults)
    protocol = Protocol(Values(model.race), model.options)
    for before, name, after in graph.edges:
        client = int(name.partition(":")[0])
        states = graph.states[before], graph.states[after]
        broken = [each.name for each in STEP_PROPERTIES if not each.says(protocol, *states, client)]
        assert broken == [], name


@pytest.mark.parametrize("name", some_quick(COMPARED, QUICK_MODELS))
def test_the_state_graph_is_that_of_tla(name: str) -> None:
    result = check_agreement(tlc(), MODELS[name])
    assert result.counterexample is None
    assert result.cases > 15
    assert ("counterexample_steps" in result.details) == bool(MODELS[name].violates)
    assert result.details.get("counterexample_steps", 10) >= 10


def test_every_weakened_protocol_is_compared() -> None:
    assert {f"weakened-{name}" for name in WEAKENED} <= set(COMPARED)
    left_out = {"payments", "four-captures", "read-while-captured", "retry-while-under-way", "everything"}
    left_out |= {
        "claimed-keys",
        "weakened-claims-do-not-lapse",
    }  # a claim is no step of the proof
    left_out |= {name for name, model in MODELS.items() if model.module in ("Events", "Expiry")}
    assert set(MODELS) - set(COMPARED) == left_out


def test_another_graph_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_race(*where: Any) -> ModelRace:
        model = race_of(*where)
        clients = [model.race.clients[0], Client("fail")]
        return replace(model, race=replace(model.race, clients=clients))

    monkeypatch.setattr(agreement, "race_of", other_race)
    result = check_agreement(tlc(), MODELS["authorize-twice"])
    assert result.verdict == "violated"
    assert "steps of the proved protocol alone" in str(result.counterexample)
    assert "steps of the TLA+ specification alone" in str(result.counterexample)


def test_a_counterexample_that_the_weakened_protocol_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def sound(*where: Any) -> ModelRace:
        return replace(race_of(*where), options=Options())

    monkeypatch.setattr(agreement, "race_of", sound)
    result = check_agreement(tlc(), MODELS["weakened-no-lock"])
    assert result.verdict == "violated"
    assert "steps of TLC's counterexample alone" in str(result.counterexample)


def test_the_invariant_is_printed_in_words() -> None:
    result = CliRunner().invoke(app, ["prove", "--invariant"])
    assert result.exit_code == 0
    names = [each.name for each in CONJUNCTS] + [each.name for each in STEP_PROPERTIES]
    assert [name for name in names if name not in result.stdout] == []


def test_a_refutation_is_told_as_two_states_and_a_run() -> None:
    result = CliRunner().invoke(app, ["prove", "--weakened", "no-lock"])
    assert result.exit_code == 0
    assert "not proved: lock (deciders hold)" in result.stdout
    assert "step     A: lock" in result.stdout
    assert "A capture k1 500: was told captured" in result.stdout
    assert "B capture k2 500: was told captured" in result.stdout


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["prove", "--weakened", "everything"])
    assert result.exit_code == 2
    assert "no-lock" in result.stderr
