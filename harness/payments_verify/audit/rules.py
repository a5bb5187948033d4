"""Which invariant of the specification a difference between the model and the database breaks."""

from __future__ import annotations

from collections.abc import Mapping

from payments_model import Outcome, State, Step

RULES: Mapping[str, str] = {
    "I1": "At most one capture succeeds, and it takes exactly the authorized amount",
    "I2": "Only legal moves happen, and terminal states stay",
    "I3": "One (payment, key) has one stored attempt, and every answer to it is the same bytes",
    "I4": "The same key with a different request is refused, and changes nothing",
    "I5": (
        "A successful capture is decided strictly before the window ends, by the database's clock,"
        " after the lock"
    ),
    "I6": "A payment is captured if and only if one attempt succeeded, and both commit together",
    "I10": "Every history is linearizable against the model",
    "I12": "Every decision leaves one event, in its transaction, and the events explain the rows",
}
"""The invariants that an audit can find broken, in the words of the specification."""

_MOVES = (Outcome.CREATED, Outcome.AUTHORIZED, Outcome.CAPTURED, Outcome.FAILED, Outcome.EXPIRED)
_OF_BOTH: Mapping[tuple[Outcome, Outcome], str] = {
    (Outcome.CAPTURED, Outcome.ALREADY_CAPTURED): "I1",
    (Outcome.CAPTURED, Outcome.AMOUNT_MISMATCH): "I1",
    (Outcome.CAPTURED, Outcome.MALFORMED): "I1",
    (Outcome.CAPTURED, Outcome.WINDOW_EXPIRED): "I5",
    (Outcome.CREATED, Outcome.MALFORMED): "I1",
    (Outcome.AUTHORIZED, Outcome.MALFORMED): "I5",
    (Outcome.EXPIRED, Outcome.WINDOW_OPEN): "I5",
}
_OF_THE_ANSWER: Mapping[Outcome, str] = {
    Outcome.NOT_FOUND: "I12",  # what created the payment is not recorded
    Outcome.KEY_REUSED: "I4",
}


def rule_of_event(said: Outcome, done: Step) -> str:
    """The invariant that is broken where the model decides otherwise than the service did.

    Args:
        said: what was decided.
        done: what the model does instead.
    """
    if done.replayed:
        return "I3"
    of_both = _OF_BOTH.get((said, done.outcome))
    return of_both or _OF_THE_ANSWER.get(done.outcome) or ("I2" if said in _MOVES else "I10")


def rule_of_state(led_to: State, found: State | None) -> str:
    """The invariant that is broken where a row's state is not the one that its events lead to."""
    order = [State.PENDING, State.AUTHORIZED, State.CAPTURED, State.FAILED]
    is_ahead = found is not None and order.index(led_to) < min(2, order.index(found))
    return "I12" if is_ahead else "I2"
