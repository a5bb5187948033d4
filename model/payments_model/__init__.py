"""The reference model of single-capture payments: what is right.

Read it in this order: ``payment`` (states and shapes), ``outcome`` (answers), ``capture`` (the rule this
project exists for), ``lifecycle`` (the other commands), ``commands`` (one step), ``record`` (keys).
Pure and total: no input or output, no clock, no exceptions for any command.
"""

from payments_model.commands import Authorize, Capture, Command, Create, Expire, Fail, Read, step
from payments_model.outcome import RECORDED, Attempt, Outcome, Step
from payments_model.payment import (
    LEGAL_MOVES,
    MAX_AMOUNT,
    MAX_STORED_REFUSALS,
    MAX_WINDOW,
    MIN_AMOUNT,
    TERMINAL,
    Authorized,
    Captured,
    Failed,
    FailureReason,
    Payment,
    Pending,
    State,
    state_of,
)
from payments_model.record import Record, apply, violations

__all__ = [
    "LEGAL_MOVES",
    "MAX_AMOUNT",
    "MAX_STORED_REFUSALS",
    "MAX_WINDOW",
    "MIN_AMOUNT",
    "RECORDED",
    "TERMINAL",
    "Attempt",
    "Authorize",
    "Authorized",
    "Capture",
    "Captured",
    "Command",
    "Create",
    "Expire",
    "Fail",
    "Failed",
    "FailureReason",
    "Outcome",
    "Payment",
    "Pending",
    "Read",
    "Record",
    "State",
    "Step",
    "apply",
    "state_of",
    "step",
    "violations",
]
