"""How a process ended, and whether it is to blame."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class End:
    """How a service ended while it was asked.

    Attributes:
        code: its exit code; that of a signal is negative, as in `subprocess`.
    """

    code: int

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ended it; a shell tells that of its child as 128 and the signal's number."""
        number = -self.code if self.code < 0 else self.code - 128
        return signal.Signals(number) if number in _SIGNALS else None

    @property
    def is_its_own(self) -> bool:
        """Whether the service is to blame: it ended with a complaint, or by the signal of a fault."""
        return self.signal in _OF_FAULTS or (self.signal is None and self.code != 0)

    def __str__(self) -> str:
        by = self.signal
        if by is None:
            return f"the service ended with exit code {self.code}"
        told = "" if self.code < 0 else f" (a shell tells it as exit code {self.code})"
        return f"the service was ended by signal {by.value}, {by.name}{told}"


_SIGNALS = frozenset(each.value for each in signal.Signals)
_OF_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
