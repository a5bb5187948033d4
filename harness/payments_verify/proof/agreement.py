"""The proved protocol and the TLA+ specification have one state graph, for a few clients.

TLC prints every step of a race of ``specs/tla/Races.tla``. Its states are read as states of the protocol
here, and the two graphs must then be equal. Two things that TLC keeps are left out, because no step depends
on them: which process stored an attempt, and the order of those that wait.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from payments_verify.proof.few import Client, Race, explore
from payments_verify.proof.logic import Term
from payments_verify.proof.vocabulary import Answer, Attempt, Options, Row, State
from payments_verify.result import CheckResult, Progress, no_progress
from payments_verify.tla.models import Model
from payments_verify.tla.tlc import Tlc, TlcError
from payments_verify.tla.values import Value, parse, unquoted

PRICE, WINDOW = 500, 2
FAULTS = ("cut", "lose the answer", "crash")
PENDING = Row("pending", PRICE, 0, 0, 0, "none")
AUTHORIZED = Row("authorized", PRICE, 0, WINDOW, 0, "none")

_TICK = Client("tick", to=WINDOW)


def _capture(key: str, amount: int = PRICE) -> Client:
    return Client("capture", key, amount)


RACES: Mapping[str, tuple[Row, Sequence[Client]]] = {
    "same-key-twice": (AUTHORIZED, [_capture("k1"), _capture("k1")]),
    "different-keys": (AUTHORIZED, [_capture("k1"), _capture("k2")]),
    "same-key-different-amounts": (AUTHORIZED, [_capture("k1"), _capture("k1", PRICE + 1)]),
    "capture-and-void": (AUTHORIZED, [_capture("k1"), Client("fail")]),
    "authorize-twice": (PENDING, [Client("authorize"), Client("authorize")]),
    "capture-during-authorize": (PENDING, [Client("authorize"), _capture("k1")]),
    "different-keys-and-tick": (AUTHORIZED, [_capture("k1"), _capture("k2"), _TICK]),
    "three-captures": (AUTHORIZED, [_capture("k1"), _capture("k2"), _capture("k3")]),
    "capture-and-sweep": (AUTHORIZED, [_capture("k1"), _TICK, Client("sweep")]),
    "sweeps-and-tick": (AUTHORIZED, [Client("sweep"), _TICK, Client("sweep")]),
    "window-closes-behind-update": (AUTHORIZED, [_capture("k1"), Client("void"), _TICK]),
    "window-closes-behind-lock": (AUTHORIZED, [_capture("k1"), Client("only_lock"), _TICK]),
    "window-closes-behind-rollback": (AUTHORIZED, [_capture("k1"), Client("roll_back"), _TICK]),
    "capture-and-ticks": (AUTHORIZED, [_capture("k1"), Client("tick", to=WINDOW - 1), _TICK]),
}
"""The races of the specification that have one request for each client, by their names there."""

_MAX_FAULTS = re.compile(r"MaxFaults = (\d+)")
_NOTHING_CHECKED = re.compile(r"\n(INVARIANTS|PROPERTIES)\b(\n    .*)*")
_ARROW = " -> "
_SHOWN = 3

Seen: TypeAlias = tuple[Term, ...]
"""A state as both texts have it."""


def race_of(name: str, faults: int) -> Race:
    """A race of the specification."""
    row, clients = RACES[name]
    return Race(clients, {0: row}, WINDOW, faults=faults)


def our_steps(race: Race) -> set[tuple[Seen, Seen]]:
    """The steps of a race, by the protocol here."""
    graph = explore(race, Options(constraints=True), FAULTS)
    seen = {here: _ours(race, state, here[1]) for here, state in graph.states.items()}
    return {(seen[before], seen[after]) for before, _, after in graph.edges}


def their_steps(tlc: Tlc, model: Model) -> set[tuple[Seen, Seen]]:
    """The steps of a race, by TLC.

    Raises:
        TlcError: TLC could not be run, or came to no end.
    """
    steps: set[tuple[Seen, Seen]] = set()
    state = lru_cache(maxsize=None)(lambda text: _theirs(parse(text)))

    def take(printed: str) -> None:
        before, after = unquoted(printed).split(_ARROW)
        steps.add((state(before), state(after)))

    configuration = (tlc.specification / model.configuration).read_text()
    with tempfile.TemporaryDirectory(prefix="payments-agreement-") as folder:
        module = Path(folder) / "Agreement.tla"
        module.write_text("---- MODULE Agreement ----\nEXTENDS Behaviours\n====\n")
        values = module.with_suffix(".cfg")
        values.write_text(f"{_NOTHING_CHECKED.sub('', configuration)}\nACTION_CONSTRAINT Show\n")
        found = tlc.run(module, values, on_printed=take)
    if found.error is not None or found.violated is not None:
        raise TlcError(f"{model.name}: {found.error or found.violated}")
    return steps


def faults_of(tlc: Tlc, model: Model) -> int:
    """How often something may go wrong in a model."""
    found = _MAX_FAULTS.search((tlc.specification / model.configuration).read_text())
    if found is None:
        raise TlcError(f"{model.configuration} says nothing of MaxFaults")
    return int(found[1])


def check_agreement(tlc: Tlc, model: Model, *, progress: Progress = no_progress) -> CheckResult:
    """Compare the two graphs of one race.

    Returns:
        ``holds`` if they are equal; the cases are the steps.

    Raises:
        TlcError: TLC could not be run, or came to no end.
    """
    started = time.perf_counter()
    progress(0, 1, model.name)
    theirs = their_steps(tlc, model)
    ours = our_steps(race_of(model.name, faults_of(tlc, model)))
    differing = [
        *_described("of the proved protocol alone", ours - theirs),
        *_described("of the TLA+ specification alone", theirs - ours),
    ]
    return CheckResult(
        name=f"proof: the state graph of {model.name} is TLC's",
        kind="proof",
        cases=len(theirs),
        verdict="violated" if differing else "holds",
        seconds=time.perf_counter() - started,
        details={"states": len({state for step in theirs for state in step})},
        counterexample="\n".join(differing) or None,
    )


def _described(where: str, steps: set[tuple[Seen, Seen]]) -> Iterator[str]:
    if steps:
        yield f"{len(steps):,} steps {where}; the first:"
    for before, after in sorted(steps, key=repr)[:_SHOWN]:
        for name, old, new in zip(_PARTS, before, after, strict=True):
            yield f"  {name}: {old}" + ("" if old == new else f"\n    -> {new}")
        yield ""


_PARTS = ("row", "attempts", "now", "lock", "waits", "at", "sees", "wrote", "answers", "faults left")


def _ours(race: Race, state: State, left: int) -> Seen:
    processes = range(len(race.clients))
    keys = sorted({client.key for client in race.clients})
    stored = {key: state.under(0, key) for key in keys}
    told = [state.answer(p) for p in processes]
    return (
        state.row(0),
        frozenset((key, each) for key, each in stored.items() if each.outcome != "none"),
        state.now,
        frozenset(p for p in processes if state.holds(p)),
        frozenset(p for p in processes if state.waits(p)),
        tuple(state.at(p) for p in processes),
        tuple(
            (
                state.saw(p),
                _found(state.found(p)),
                state.begun(p),
                state.clock(p),
                state.granted(p),
                state.broken(p),
            )
            for p in processes
        ),
        tuple((state.wrote_row(p), state.wrote(p)) for p in processes),
        tuple(each if each.outcome != "none" else None for each in told),
        left,
    )


def _found(attempt: Attempt) -> tuple[Term, ...]:
    """An attempt as a look-up shows it: without the grant of the lock under which it was decided."""
    return (attempt.outcome, attempt.amount, attempt.decided_at)


def _theirs(value: Value) -> Seen:
    row, attempts, now, lock, queue, at, sees, wrote, answers, left = value
    processes = sorted(at)
    return (
        _row(row),
        frozenset((each["key"], _attempt(each)) for each in attempts),
        now,
        frozenset() if lock < 0 else frozenset({lock}),
        frozenset(queue),
        tuple(at[p] for p in processes),
        tuple(_sight(sees[p]) for p in processes),
        tuple((_row(wrote[p]["row"]), _attempt(wrote[p]["attempt"])) for p in processes),
        tuple(_answer(answers[p]) for p in processes),
        left,
    )


def _row(fields: Mapping[str, Value]) -> Row:
    ended = fields.get("captured_at", fields.get("failed_at", 0))
    windowed = (fields.get("authorized_at", 0), fields.get("capture_expires_at", 0))
    return Row(fields["state"], fields.get("amount", 0), *windowed, ended, fields.get("reason", "none"))


def _attempt(fields: Mapping[str, Value]) -> Attempt:
    instants = (fields.get("decided_at", 0), fields.get("granted", 0))
    return Attempt(fields["outcome"], fields.get("amount", 0), *instants)


def _sight(fields: Mapping[str, Value]) -> tuple[Term, ...]:
    read = tuple(fields[name] for name in ("begun", "clock", "granted", "broken"))
    return (_row(fields["row"]), _found(_attempt(fields["found"])), *read)


def _answer(told: Sequence[Mapping[str, Value]]) -> Answer | None:
    if not told:
        return None
    (answer,) = told
    read = (answer.get("state", "none"), answer.get("as_of", 0))
    return Answer(answer["outcome"], answer["replayed"], *read)
