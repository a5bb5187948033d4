"""The transition table: what the model answers to each command in each state, asked of the model itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from lab.pages.blocks import table
from payments_model import (
    Authorize,
    Capture,
    Command,
    Create,
    Expire,
    Fail,
    FailureReason,
    Outcome,
    Payment,
    Read,
    Record,
    State,
    apply,
    state_of,
)

NOTHING = "no payment"
_AMOUNT, _WINDOW, _AUTHORIZED_AT = 2, 10, 100
_INSIDE, _END = _AUTHORIZED_AT + _WINDOW - 1, _AUTHORIZED_AT + _WINDOW
_WAYS: Mapping[str, Sequence[Command]] = {
    NOTHING: (),
    "pending": (Create(_AMOUNT),),
    "authorized": (Create(_AMOUNT), Authorize(_WINDOW)),
    "captured": (Create(_AMOUNT), Authorize(_WINDOW), Capture(_AMOUNT)),
    "failed": (Create(_AMOUNT), Authorize(_WINDOW), Fail(FailureReason.VOIDED)),
}
"""The commands that lead to a payment in each state."""


@dataclass(frozen=True)
class Case:
    """A command at a time, and its name for people."""

    name: str
    command: Command
    now: int = _INSIDE


CASES: Sequence[Case] = (
    Case("create", Create(_AMOUNT)),
    Case("create, of another amount", Create(_AMOUNT + 1)),
    Case("authorize", Authorize(_WINDOW)),
    Case("capture, within the window", Capture(_AMOUNT)),
    Case("capture, at the window's end or after", Capture(_AMOUNT), _END),
    Case("capture, of another amount, within the window", Capture(_AMOUNT - 1)),
    Case("capture, of another amount, at the window's end or after", Capture(_AMOUNT - 1), _END),
    Case("fail", Fail(FailureReason.VOIDED)),
    Case("expire, within the window", Expire()),
    Case("expire, at the window's end or after", Expire(), _END),
    Case("read", Read()),
    Case("anything malformed", Capture(0)),
)
"""The rows: every command that the states tell apart, with a key that is new where it has one."""


@dataclass(frozen=True)
class Cell:
    """What a command does in a state.

    Attributes:
        outcome: the answer.
        before: the state's name.
        after: the name of the state afterwards.
    """

    outcome: Outcome
    before: str
    after: str

    def shown(self, names: Mapping[Outcome, str]) -> str:
        """The cell in Markdown, with the outcome's name."""
        answer = f"`{names.get(self.outcome, self.outcome.name.lower())}`"
        return answer if self.before == self.after else f"**{answer} → {self.after}**"


def cells() -> Mapping[tuple[str, str], Cell]:
    """What each case does in each state."""
    return {(case.name, state): _cell(case, state) for case in CASES for state in _WAYS}


def moves() -> Mapping[tuple[str, str], Sequence[str]]:
    """The moves from state to state, each with the commands that make it."""
    found: dict[tuple[str, str], list[str]] = {}
    asked = cells()
    for case, state in product(CASES, _WAYS):
        cell, command = asked[case.name, state], type(case.command).__name__.lower()
        if cell.before != cell.after and command not in found.setdefault((cell.before, cell.after), []):
            found[cell.before, cell.after].append(command)
    return found


def transition_table(names: Mapping[Outcome, str]) -> str:
    """The table in Markdown: a row a command, a column a state.

    Args:
        names: the service's names of the outcomes, where it has names of its own.
    """
    asked = cells()
    return table(
        ("", *_WAYS),
        [(case.name, *(asked[case.name, state].shown(names) for state in _WAYS)) for case in CASES],
    )


def _cell(case: Case, state: str) -> Cell:
    record = Record()
    for command in _WAYS[state]:
        record, _ = apply(record, command, _AUTHORIZED_AT, "first" if isinstance(command, Capture) else None)
    assert _name(record.payment) == state, f"the way to {state} leads to {_name(record.payment)}"
    key = "second" if isinstance(case.command, Capture) else None
    after, done = apply(record, case.command, case.now, key)
    return Cell(done.outcome, state, _name(after.payment))


def _name(payment: Payment | None) -> str:
    return NOTHING if payment is None else state_of(payment).name.lower()


assert set(_WAYS) == {NOTHING, *(state.name.lower() for state in State)}
