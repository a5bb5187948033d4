"""The proved protocol and the TLA+ specification have one state graph, for a few clients.

TLC prints every step of a race. Its states are read as states of the protocol here, and the two graphs must
then be equal; of a weakened model, TLC's counterexample must be a way through it. Two things that TLC keeps
are left out, because no step depends on them: which process stored an attempt, and the order of those that
wait. The protocol here has one attempt under a key: where a weakened one stores a second, both graphs end.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from lab.proof.few import explore
from lab.proof.logic import Term
from lab.proof.races import RACES, ModelRace, race_name_of, race_of
from lab.proof.vocabulary import Answer, Attempt, Row, State
from lab.tla.models import Model
from lab.tla.output import TracedState
from lab.tla.tlc import Tlc, TlcError
from lab.tla.values import Value, parse, unquoted
from payments_verify.result import CheckResult, Progress, no_progress

_NOTHING_CHECKED = re.compile(r"\n(INVARIANTS|PROPERTIES)\b(\n    .*)*")
_MODULE = """\
---- MODULE Agreement ----
EXTENDS {module}, TLC
all == {state}
Show == all' = all \\/ PrintT(ToString(all) \\o " -> " \\o ToString(all'))
====
"""
_VARIABLES = ("row", "attempts", "now", "lock", "queue", "at", "sees", "wrote", "answers", "faults")
_MODULES = ("Races", "Replicated")
_ARROW = " -> "
_SHOWN = 3

Seen: TypeAlias = tuple[Term, ...]
"""A state as both texts have it."""


def comparable(models: Mapping[str, Model], specification: Path) -> list[Model]:
    """The models whose races the protocol here has, too."""
    of_races = [model for model in models.values() if model.module in _MODULES]
    return [each for each in of_races if race_name_of(specification / each.configuration) in RACES]


def our_steps(model: ModelRace) -> set[tuple[Seen, Seen]]:
    """The steps of a race, by the protocol here."""
    graph = explore(model.race, model.options, model.faults)
    seen = {here: _ours(model, state, here[1]) for here, state in graph.states.items()}
    steps = (
        (seen[before], seen[after])
        for before, _, after in graph.edges
        if not _overwrites(graph.states[before], graph.states[after])
    )
    return _reached(seen[graph.start], steps)


def their_steps(tlc: Tlc, model: Model) -> set[tuple[Seen, Seen]]:
    """The steps of a race, by TLC.

    Raises:
        TlcError: TLC could not be run, or came to no end.
    """
    steps: set[tuple[Seen, Seen]] = set()
    first: list[Seen] = []
    state = lru_cache(maxsize=None)(lambda text: _theirs(parse(text)))

    def take(printed: str) -> None:
        before, after = (state(text) for text in unquoted(printed).split(_ARROW))
        first[:] = first or [before]
        if _representable(after):
            steps.add((before, after))

    configuration = (tlc.specification / model.configuration).read_text()
    every = _NOTHING_CHECKED.sub("", configuration).replace("EagerWake = TRUE", "EagerWake = FALSE")
    names = ", ".join(_VARIABLES) + (", kept" if model.module == "Replicated" else "")
    with tempfile.TemporaryDirectory(prefix="payments-agreement-") as folder:
        module = Path(folder) / "Agreement.tla"
        module.write_text(_MODULE.format(module=model.module, state=f"<<{names}>>"))
        values = module.with_suffix(".cfg")
        values.write_text(f"{every}\nACTION_CONSTRAINT Show\n")
        found = tlc.run(module, values, on_printed=take)
    if found.error is not None or found.violated is not None:
        raise TlcError(f"{model.name}: {found.error or found.violated}")
    return _reached(first[0], steps)


def _reached(first: Seen, steps: Iterable[tuple[Seen, Seen]]) -> set[tuple[Seen, Seen]]:
    """The steps that lead on from a state."""
    following: dict[Seen, set[Seen]] = {}
    for before, after in steps:
        following.setdefault(before, set()).add(after)
    reached, waiting = {first}, [first]
    while waiting:
        new = following.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return {(before, after) for before in reached for after in following.get(before, ())}


def check_agreement(tlc: Tlc, model: Model, *, progress: Progress = no_progress) -> CheckResult:
    """Compare the two graphs of one race; of a weakened model, find TLC's counterexample in them.

    Returns:
        ``holds`` if they are equal; the cases are the steps.

    Raises:
        TlcError: TLC could not be run, or came to no end.
    """
    started = time.perf_counter()
    progress(0, 1, model.name)
    theirs = their_steps(tlc, model)
    ours = our_steps(race_of(tlc.specification / model.configuration, model.module))
    differing = [
        *_described("of the proved protocol alone", ours - theirs),
        *_described("of the TLA+ specification alone", theirs - ours),
    ]
    details: dict[str, int] = {"states": len({state for step in theirs for state in step})}
    if model.violates:
        shown, details["counterexample_steps"] = _counterexample(tlc, model)
        differing += _described("of TLC's counterexample alone", shown - ours)
    return CheckResult(
        name=f"proof: the state graph of {model.name} is TLC's",
        kind="proof",
        cases=len(theirs),
        verdict="violated" if differing else "holds",
        seconds=time.perf_counter() - started,
        details=details,
        counterexample="\n".join(differing) or None,
    )


def _counterexample(tlc: Tlc, model: Model) -> tuple[set[tuple[Seen, Seen]], int]:
    """The steps of TLC's counterexample, up to a second attempt under a key; and how many there are."""
    found = tlc.run(
        tlc.specification / f"{model.module}.tla",
        tlc.specification / model.configuration,
        deadlocks=model.deadlocks,
    )
    if found.violated is None:
        raise TlcError(f"{model.name}: {found.error or 'everything holds, so there is no counterexample'}")
    steps = [step for step in pairwise(map(_traced, found.trace)) if _representable(step[1])]
    return set(steps), len(steps)


def _traced(state: TracedState) -> Seen:
    kept = state.variables.get("kept")
    values = tuple(state.variables[name] for name in _VARIABLES)
    return _theirs(values if kept is None else (*values, kept))


def _described(where: str, steps: set[tuple[Seen, Seen]]) -> Iterator[str]:
    if steps:
        yield f"{len(steps):,} steps {where}; the first:"
    for before, after in sorted(steps, key=repr)[:_SHOWN]:
        for name, old, new in zip(_PARTS, before, after, strict=True):
            yield f"  {name}: {old}" + ("" if old == new else f"\n    -> {new}")
        yield ""


_PARTS = (
    *("row", "attempts", "now", "lock", "waits", "at", "sees", "wrote", "answers", "faults left", "standby"),
)


def _overwrites(before: State, after: State) -> bool:
    """Whether a second attempt is stored under a key; a failover, too, leaves another one, or none."""
    pairs = zip(before.under.values(), after.under.values(), strict=True)
    return any("none" not in (old.outcome, new.outcome) and old != new for old, new in pairs)


def _representable(state: Seen) -> bool:
    """Whether there is at most one attempt under each key."""
    attempts = state[1]
    return len({key for key, _ in attempts}) == len(attempts)


def _ours(model: ModelRace, state: State, left: int) -> Seen:
    processes = range(len(model.race.clients))
    keys = sorted({client.key for client in model.race.clients})
    kept = (state.kept_row(0), _attempts({key: state.kept_under(0, key) for key in keys}))
    told = [state.answer(p) for p in processes]
    return (
        state.row(0),
        _attempts({key: state.under(0, key) for key in keys}),
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
        kept if model.replicated else None,
    )


def _attempts(stored: Mapping[str, Attempt]) -> frozenset[tuple[str, Attempt]]:
    return frozenset((key, each) for key, each in stored.items() if each.outcome != "none")


def _found(attempt: Attempt) -> tuple[Term, ...]:
    """An attempt as a look-up shows it: without the grant of the lock under which it was decided."""
    return (attempt.outcome, attempt.amount, attempt.decided_at)


def _theirs(value: Value) -> Seen:
    row, attempts, now, lock, queue, at, sees, wrote, answers, left, *kept = value
    processes = sorted(at)
    return (
        _row(row),
        _their_attempts(attempts),
        now,
        frozenset() if lock < 0 else frozenset({lock}),
        frozenset(queue),
        tuple(at[p] for p in processes),
        tuple(_sight(sees[p]) for p in processes),
        tuple((_row(wrote[p]["row"]), _attempt(wrote[p]["attempt"])) for p in processes),
        tuple(_answer(answers[p]) for p in processes),
        left,
        (_row(kept[0][0]), _their_attempts(kept[0][1])) if kept else None,
    )


def _their_attempts(attempts: Iterable[Mapping[str, Value]]) -> frozenset[tuple[str, Attempt]]:
    return frozenset((each["key"], _attempt(each)) for each in attempts)


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
