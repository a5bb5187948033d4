"""Commands by chance for the specifications under test, and two specifications that only tests have."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgweave.history.operations import Json, Operation, Outcome
from pgweave.history.spec import Spec
from pgweave.history.specs.cas_register import CasRegister, EtcdRegister
from pgweave.history.specs.kv import KeyValue
from tests.pgweave.brute_force import operation, random_history, random_outcome


def _register_command(rng: random.Random) -> tuple[str, Json]:
    f = rng.choice(["read", "write", "cas"])
    content = rng.choice([1, 2])
    value: Json = {"read": None, "write": content, "cas": [rng.choice([None, 1, 2]), content]}[f]
    return f, value


def _register_respond(rng: random.Random, f: str, value: Json) -> tuple[Outcome, Json]:
    del value
    outcome = random_outcome(rng)
    return outcome, rng.choice([None, 1, 2]) if f == "read" and outcome is Outcome.OK else None


def register_history(rng: random.Random) -> list[Operation]:
    return random_history(rng, _register_command, _register_respond)


def _kv_command(rng: random.Random) -> tuple[str, Json]:
    f = rng.choice(["get", "put", "append", "append"])
    value = {"key": rng.choice("aab")}
    return f, value if f == "get" else {**value, "value": rng.choice("xy")}


def _kv_respond(rng: random.Random, f: str, value: Json) -> tuple[Outcome, Json]:
    outcome = random_outcome(rng)
    assert isinstance(value, Mapping)
    content = rng.choice(["", "x", "y", "xy", "yx", "xx"])
    return outcome, {"key": value["key"], "value": content} if f == "get" and outcome is Outcome.OK else None


def kv_operation(
    process: int, f: str, value: str | None, observed: Outcome, span: tuple[int, int | None]
) -> Operation:
    argument = {"key": "a"} if f == "get" else {"key": "a", "value": value}
    answered = {"key": "a", "value": value} if f == "get" and observed is Outcome.OK else None
    return operation(process, f, argument, (observed, answered), span)


def atomic_kv_history(rng: random.Random, size: int, processes: int) -> list[Operation]:
    """What a store that is atomic may answer: each operation takes effect between its call and its return."""
    content = ""
    is_open: dict[int, tuple[str, str, int]] = {}
    effects: dict[int, str] = {}
    found: list[Operation] = []
    next_process, position = processes, 0
    clients = list(range(processes))
    while len(found) + len(is_open) < size or is_open:
        position += 1
        client = rng.choice(clients)
        if client not in is_open:
            if len(found) + len(is_open) < size:
                f = rng.choice(["get", "get", "append", "append", "append", "put"])
                is_open[client] = f, rng.choice("xyz"), position
        elif client not in effects:
            f, value, _ = is_open[client]
            content = {"get": content, "append": content + value, "put": value}[f]
            effects[client] = content
        else:
            f, value, called = is_open.pop(client)
            effect = effects.pop(client)
            if rng.random() < 0.08:
                found.append(kv_operation(client, f, value, Outcome.UNKNOWN, (called, None)))
                clients[clients.index(client)] = next_process
                next_process += 1
            else:
                shown = effect if f == "get" else value
                found.append(kv_operation(client, f, shown, Outcome.OK, (called, position)))
    return sorted(found, key=lambda one: one.called)


def with_a_wrong_get(rng: random.Random, history: Sequence[Operation]) -> list[Operation]:
    """The same history, but one get answers what another did, or lacks or has a letter."""
    gets = [n for n, one in enumerate(history) if one.f == "get" and one.outcome is Outcome.OK]
    if not gets:
        return list(history)
    changed = list(history)
    number, other = rng.choice(gets), rng.choice(gets)
    shown = [str(dict(history[n].response)["value"]) for n in (number, other)]  # type: ignore[arg-type]
    wrong = rng.choice([shown[1], shown[0][:-1], shown[0] + "x", shown[0][::-1]])
    one = history[number]
    assert one.returned is not None
    changed[number] = kv_operation(one.process, "get", wrong, Outcome.OK, (one.called, one.returned))
    return changed


def kv_history(rng: random.Random) -> list[Operation]:
    return random_history(rng, _kv_command, _kv_respond)


class Dice(CasRegister):
    """A register that also can be rolled to 1 or 2: a specification with a choice."""

    name = "dice"

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        return {"dice": operations}

    def step(self, state: Any, operation: Operation) -> tuple[Any, ...]:
        if operation.f == "roll":
            return (state,) if operation.outcome is Outcome.FAIL else (1, 2)
        return super().step(state, operation)


def _dice_command(rng: random.Random) -> tuple[str, Json]:
    return ("roll", None) if rng.random() < 0.4 else _register_command(rng)


def dice_history(rng: random.Random) -> list[Operation]:
    return random_history(rng, _dice_command, _register_respond)


class WholeStore:
    """All keys of a key-value store as one object: what partitioning must agree with."""

    name = "whole-store"

    def __init__(self) -> None:
        self._one = KeyValue()

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        return {"store": operations}

    def initial(self) -> tuple[tuple[str, str], ...]:
        return ()

    def step(
        self, state: tuple[tuple[str, str], ...], operation: Operation
    ) -> tuple[tuple[tuple[str, str], ...], ...]:
        contents = dict(state)
        assert isinstance(operation.value, Mapping)
        key = str(operation.value["key"])
        return tuple(
            tuple(sorted({**contents, key: after}.items()))
            for after in self._one.step(contents.get(key, ""), operation)
        )

    def observes(self, operation: Operation) -> bool:
        del operation
        return False

    def describe(self, operation: Operation) -> str:
        return self._one.describe(operation)

    def expected(self, state: tuple[tuple[str, str], ...], operation: Operation) -> str:
        return self._one.expected(dict(state).get("a", ""), operation)


class CautiousRegister(EtcdRegister):
    """A register that does not tell which operations only observe."""

    def observes(self, operation: Operation) -> bool:
        del operation
        return False


OURS = sorted((Path(__file__).parent / "histories").glob("*.jsonl"))
"""Hand-made histories, with their specification and verdict in their names."""

SMALL: dict[str, tuple[Spec[Any], Any]] = {
    "cas-register": (CasRegister(), register_history),
    "etcd without hints": (CautiousRegister(), register_history),
    "etcd": (EtcdRegister(), register_history),
    "dice": (Dice(), dice_history),
    "kv": (KeyValue(), kv_history),
}
"""A specification and a function that makes histories for it by chance."""
