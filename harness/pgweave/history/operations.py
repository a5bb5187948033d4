"""Histories: what clients of a service saw, as operations in real-time order.

An operation whose response stands before another's invocation happened before it. Its `value` and its
response are any JSON values, and mean what the `Spec` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
"""A JSON value, as `json` and `msgspec` decode it."""


class HistoryError(ValueError):
    """A history that cannot be read or recorded; the message says where, and what was wrong."""


class Outcome(StrEnum):
    """What the client learned about its operation.

    Attributes:
        OK: A definite answer: the operation took effect, between its invocation and its response.
        FAIL: A definite refusal. What it says of the state it was given in is for the `Spec` to say.
        UNKNOWN: No answer (a timeout, a lost connection, the end of the recording). The operation may take
            effect at any point after its invocation, or never.
    """

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Operation:
    """One invocation together with its response.

    Attributes:
        process: The client. It has at most one operation open at a time.
        f: The name of the command, such as `write` or `read`.
        value: The argument of the invocation.
        outcome: What the client learned.
        response: The content of the response; None when the outcome is unknown.
        called: The position of the invocation among the events of the history.
        returned: The position of the response, or None when the outcome is unknown: then the operation is
            open to the end.
        called_ns: When it was called, in ns of a monotonic clock, where the file says so. For readers alone:
            operations that differ in nothing else are equal.
        returned_ns: When its response came, likewise.
    """

    process: int
    f: str
    value: Json
    outcome: Outcome
    response: Json
    called: int
    returned: int | None
    called_ns: int | None = field(default=None, compare=False)
    returned_ns: int | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.outcome is Outcome.UNKNOWN) != (self.returned is None):
            raise HistoryError(
                "an operation has no return position exactly when its outcome is unknown: "
                f"{self.outcome}, {self.returned}"
            )
        if self.returned is not None and self.returned <= self.called:
            raise HistoryError(f"a response comes after its invocation: {self.called}, {self.returned}")


def returned(operation: Operation) -> int:
    """The position of the response of an operation that was answered."""
    assert operation.returned is not None
    return operation.returned


@dataclass(frozen=True, slots=True)
class History:
    """The operations of one recording, in the order of their invocations.

    Attributes:
        operations: The operations.
        spec: The name of the specification it was recorded for, where the file says so.
        format: The file format it was read from.
        lines: The line that each event stands on, from 1, where it was read from a file.
    """

    operations: tuple[Operation, ...]
    spec: str | None = None
    format: str = "ours"
    lines: tuple[int, ...] = field(default=(), compare=False)
