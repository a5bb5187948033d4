"""What the exploration of the model tries, and the exact size of the graph that it must find.

The bounds are small, and each is there for a reason: two keys, since a capture sees its own key or another,
and with one alone a refusal as already captured could not be repeated; the right amount, a wrong one and a
malformed one; a window of one µs, authorized at the first of three instants, so that the last µs inside, the
end itself and the first µs after it are all tried; a window of two, so that time can pass within one; and a
malformed window. Within them every answer that a model can give is given but one: two keys do not reach the
bound on stored refusals. So a second, smaller graph has room for one, and there no answer is excused.

The counts are exact, as in the examples of stateright (https://www.stateright.rs): a change of the model that
nobody meant changes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from payments_model import (
    MAX_STORED_REFUSALS,
    Authorize,
    Capture,
    Command,
    Create,
    Expire,
    Fail,
    FailureReason,
    Read,
)


@dataclass(frozen=True)
class Bounds:
    """What is tried.

    Attributes:
        keys: the idempotency keys.
        amounts: the amounts to create and to capture, in cents.
        windows: the capture windows, in µs.
        reasons: the reasons to fail for.
        last_instant: time runs from 0 to here, in µs.
        max_refusals: how many refused captures of the payment may be stored.
        max_states: where a model that does not stay within the others is stopped, without a verdict.
    """

    keys: tuple[str, ...] = ("a", "b")
    amounts: tuple[int, ...] = (1, 2, 0)
    windows: tuple[int, ...] = (1, 2, 0)
    reasons: tuple[FailureReason, ...] = tuple(FailureReason)
    last_instant: int = 2
    max_refusals: int = MAX_STORED_REFUSALS
    max_states: int = 50_000

    def commands(self) -> Iterator[tuple[Command, str | None]]:
        """Every command with the key that it has, if it has one."""
        for amount in self.amounts:
            yield Create(amount), None
        for window in self.windows:
            yield Authorize(window), None
        for key in self.keys:
            for amount in self.amounts:
                yield Capture(amount), key
        for reason in self.reasons:
            yield Fail(reason), None
        yield Expire(), None
        yield Read(), None


@dataclass(frozen=True)
class Expected:
    """The exact size of the graph.

    Attributes:
        states: distinct pairs of a record and an instant.
        transitions: commands tried in them, and steps of time.
        depth: commands and steps of time on the longest of the shortest ways to a state.
        outcomes: how often each answer was given; see ``outcome_name``.
    """

    states: int
    transitions: int
    depth: int
    outcomes: Mapping[str, int]


EXPECTED_STATES = 8_949
EXPECTED_TRANSITIONS = 154_629
EXPECTED_DEPTH = 7
EXPECTED_OUTCOMES: Mapping[str, int] = {
    "already_authorized": 2_076,
    "already_captured": 2_700,
    "already_captured (replayed)": 192,
    "amount_mismatch": 192,
    "amount_mismatch (replayed)": 2_360,
    "authorized": 332,
    "captured": 192,
    "captured (replayed)": 516,
    "created": 6,
    "exists": 8_946,
    "expired": 426,
    "failed": 2_076,
    "id_conflict": 8_946,
    "key_reused": 15_868,
    "malformed": 44_745,
    "not_authorized": 618,
    "not_authorized (replayed)": 6_344,
    "not_found": 30,
    "payment_failed": 39_322,
    "payment_failed (replayed)": 4_792,
    "read": 8_946,
    "window_expired": 232,
    "window_expired (replayed)": 1_664,
    "window_open": 612,
}
EXPECTED = Expected(EXPECTED_STATES, EXPECTED_TRANSITIONS, EXPECTED_DEPTH, EXPECTED_OUTCOMES)
"""The size of the model's graph within ``Bounds()``."""

EXPECTED_WITH_ROOM_FOR_ONE = Expected(
    2_363,
    40_987,
    6,
    {
        "already_authorized": 568,
        "already_captured": 2_700,
        "already_captured (replayed)": 192,
        "amount_mismatch": 32,
        "amount_mismatch (replayed)": 348,
        "authorized": 108,
        "captured": 192,
        "captured (replayed)": 516,
        "created": 6,
        "exists": 2_360,
        "expired": 108,
        "failed": 568,
        "id_conflict": 2_360,
        "key_reused": 2_696,
        "malformed": 11_815,
        "not_authorized": 186,
        "not_authorized (replayed)": 928,
        "not_found": 30,
        "payment_failed": 7_890,
        "payment_failed (replayed)": 528,
        "read": 2_360,
        "too_many_refusals": 3_288,
        "window_expired": 32,
        "window_expired (replayed)": 184,
        "window_open": 176,
    },
)
"""The size of the graph within ``Bounds(max_refusals=1)``."""
