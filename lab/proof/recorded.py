"""Whether a run that was recorded through the gate is a run of the proved protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lab.proof.few import Values, initial, steps
from lab.proof.protocol import Protocol
from lab.proof.races import ModelRace
from lab.proof.vocabulary import Answer, State
from lab.tla.recorded import UNSEEN, Trace
from lab.tla.values import Function, Value


def follow(model: ModelRace, events: Sequence[Function]) -> Trace:
    """Take the step that each event of a run is, as far as there is one with the effects that were seen.

    Args:
        model: who races, and by which protocol.
        events: what was recorded, in order.

    Returns:
        The run, and how many of its events are steps.
    """
    protocol = Protocol(Values(model.race), model.options)
    state = initial(protocol, model.race)
    for explained, event in enumerate(events):
        name = f"{event['process']}: {event['statement']}"
        # A client has at most one such step: the rule decides, and a window has one length.
        after = next(
            (after for step, after, _ in steps(protocol, model.race, state, 0, ()) if step == name), None
        )
        if after is None or not _fits(event, state, after):
            return Trace(events, explained)
        state = after
    return Trace(events, len(events))


def _fits(event: Mapping[str, Value], before: State, after: State) -> bool:
    p = event["process"]
    told: Answer = after.answer(p)
    answers = told != before.answer(p)
    breaks = after.broken(p) and not before.broken(p)
    rows = _rows(event["statement"], after, p)
    return all(
        (
            event["waits"] == after.waits(p),
            # Nobody saw whether a statement that had waited failed.
            event["statement"] == "wake" or event["failed"] == breaks,
            event["failed"] or UNSEEN in (event["rows"], rows) or event["rows"] == rows,
            event["answers"] == answers,
            not answers or all(getattr(told, part) == value for part, value in event["answer"].items()),
        )
    )


def _rows(statement: str, after: State, p: int) -> int:
    """How many rows a statement finds or moves, where that is seen."""
    match statement:
        case "lock":
            return int(after.saw(p).state != "none")
        case "due":
            return int(after.at(p) == "begin")
        case "update":
            return int(after.wrote_row(p).state != "none")
        case _:
            return UNSEEN
