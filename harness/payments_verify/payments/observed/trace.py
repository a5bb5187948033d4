"""What one client asked and was answered, one thing after the other, as a history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from payments_verify.payments.observed.observations import is_success
from pgweave.history.operations import Operation, Outcome


class Trace:
    """A history of a single client, in memory."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._is_whole = True

    def add(self, f: str, asked: Mapping[str, Any], answered: Mapping[str, Any]) -> None:
        """Note a command and its definite answer.

        Args:
            f: The command's name.
            asked: Its arguments.
            answered: What was answered, in the model's terms.
        """
        position = 2 * len(self._operations)
        outcome = answered.get("outcome")
        learned = Outcome.OK if outcome is None or is_success(outcome) else Outcome.FAIL
        self._operations.append(Operation(0, f, dict(asked), learned, dict(answered), position, position + 1))

    def miss(self) -> None:
        """Something happens that is not noted: what is noted is no history from here on."""
        self._is_whole = False

    def operations(self) -> tuple[Operation, ...]:
        """What has been noted so far; nothing if something was missed."""
        return tuple(self._operations) if self._is_whole else ()
