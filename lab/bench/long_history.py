"""Writes a long history of payments, as an atomic service would give it.

Every operation takes effect at one instant between its call and its response, by the model.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from payments_model import Record
from payments_verify.payments.observed.observations import OUTCOME_NAMED, SUCCESSES, Invocation
from payments_verify.payments.specification.oracle import answer

HEADER = {"format": "payments-verify-history", "version": 1, "spec": "payments"}
_COMMANDS = ("create", "authorize", "capture", "capture", "read", "read", "read", "attempts")
_START = 1_900_000_000_000_000
_WINDOW = 3_600_000_000


def write(path: Path, *, operations: int, clients: int, payments: int, seed: int = 0) -> None:
    """Write such a history.

    Args:
        path: The file.
        operations: How many operations it has.
        clients: How many clients there are; about half of them wait for a response at any moment.
        payments: How many payments they take at random.
        seed: What it is drawn by.
    """
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        events = _events(operations, clients, payments, seed)
        file.writelines(encode(each) + b"\n" for each in chain([HEADER], events))


def _events(operations: int, clients: int, payments: int, seed: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(seed)
    records: defaultdict[str, Record] = defaultdict(Record)
    called: dict[int, Invocation] = {}
    effective: dict[int, dict[str, Any]] = {}
    left, now = operations, 0
    while left or called:
        now += 1
        client = rng.randrange(clients)
        if client in effective:
            yield _event(effective.pop(client), client, called.pop(client), now)
        elif client in called:
            payment = called[client].value["payment"]
            records[payment], effective[client] = answer(records[payment], called[client], _START + now)
        elif left:
            left -= 1
            called[client] = _invocation(rng, f"pay_{rng.randrange(payments)}")
            yield {
                "type": "invoke",
                "process": client,
                "f": called[client].f,
                "value": called[client].value,
                "time": now,
            }


def _event(answered: dict[str, Any], client: int, invocation: Invocation, now: int) -> dict[str, Any]:
    if "decided_at" in answered:
        answered |= {"body": f"{answered['outcome']} {answered['decided_at']}"}
    kind = "ok" if OUTCOME_NAMED[answered["outcome"]] in SUCCESSES else "fail"
    return {"type": kind, "process": client, "f": invocation.f, "value": answered, "time": now}


def _invocation(rng: random.Random, payment: str) -> Invocation:
    f = rng.choice(_COMMANDS)
    arguments: dict[str, dict[str, Any]] = {
        "create": {"amount": 1_000},
        "authorize": {"window": _WINDOW},
        "capture": {"key": f"key_{rng.randrange(4)}", "amount": rng.choice([500, 1_000, 2_000])},
    }
    return Invocation(f, {"payment": payment, **arguments.get(f, {})})
