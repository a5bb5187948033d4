"""The invariants of the specification, by their ids: what a reader is told beside an id."""

from __future__ import annotations

from collections.abc import Mapping

INVARIANTS: Mapping[str, str] = {
    "I1": "At most one capture succeeds, and it takes exactly the authorized amount",
    "I2": "Only legal moves happen, and terminal states stay",
    "I3": "One (payment, key) has one stored attempt, and every answer to it is the same bytes",
    "I4": "The same key with a different request is refused, and changes nothing",
    "I5": (
        "A successful capture is decided strictly before the window ends, by the database's clock, "
        "after the lock"
    ),
    "I6": "A payment is captured if and only if one attempt succeeded, and both commit together",
    "I7": "A success is answered only after a durable commit",
    "I8": "A read after an acknowledged write sees it",
    "I9": "Contention alone causes no 5xx, no stuck key, no leaked connection, no deadlock",
    "I10": "Every history is linearizable against the model",
    "I11": "A refusal changes nothing but the attempt it records",
    "I12": "Every decision leaves one event, in its transaction, and the events explain the rows",
}


def with_text(invariants: str) -> str:
    """The ids of invariants, separated by commas, each with its text."""
    named = invariants.split(", ")
    return "; ".join(f"{each}. {INVARIANTS[each]}" if each in INVARIANTS else each for each in named)
