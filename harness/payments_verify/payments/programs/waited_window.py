"""A window that is waited for, as it can be known from outside.

It is certainly open while less than its length has passed since before the authorization was sent, and
certainly over once more has passed since it was answered. Of a clock that tells whole seconds apart both are
known but for a second, whichever way the service rounds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from payments_verify.patience import patient
from payments_verify.payments.observed.traits import Traits

_SECOND = 1_000_000
WAITED_WINDOW_S = 2
"""The windows that are waited for are certainly open for so long, in seconds, on an idle machine."""


def waited_length(traits: Traits, *, is_late: bool = False) -> int:
    """How long the windows are, in µs: so long that the service can be asked before they may have ended.

    Args:
        traits: what the service has.
        is_late: whether one was over before the service was asked; on a busy machine they are longer then.
    """
    if traits.fixed_window is not None:
        return traits.fixed_window
    if traits.moves_clock:
        return WAITED_WINDOW_S * _SECOND
    open_s = math.ceil(patient(WAITED_WINDOW_S)) if is_late else WAITED_WINDOW_S
    return min(open_s * _SECOND + traits.resolution // _SECOND * _SECOND, traits.max_window)


@dataclass(frozen=True)
class WaitedWindow:
    """A payment's window as it can be known from outside.

    Attributes:
        payment: the payment.
        ends: when, on a clock that the harness moves, in µs.
        asked: when the authorization was sent, on this process's clock, in seconds.
        answered: when it was answered, likewise.
        length_s: how long it is, in seconds.
        resolution_s: the shortest time that the service's clock tells from none, in seconds.
    """

    payment: str
    ends: int
    asked: float
    answered: float
    length_s: float
    resolution_s: float

    @property
    def open_until(self) -> float:
        """Until then it is certainly open: not even since the authorization was sent has it passed."""
        return self.asked + self.length_s - self.resolution_s

    @property
    def over_from(self) -> float:
        """From then on it is certainly over: it has passed since the authorization was answered."""
        return self.answered + self.length_s + self.resolution_s

    @property
    def is_open(self) -> bool:
        """Certainly."""
        return time.monotonic() < self.open_until

    @property
    def is_over(self) -> bool:
        """Certainly."""
        return time.monotonic() > self.over_from
