"""Windows that no request names may end while a service is examined."""

from __future__ import annotations

from payments_verify.payments.observed.traits import Traits
from pgweave.service.command import CommandError


def require_lasting_windows(traits: Traits) -> Traits:
    """The same traits, if no window ends by itself while a service is examined.

    Raises:
        CommandError: one would, and what was right could be told wrong then.
    """
    if traits.outlasts_checks or traits.fixed_window is None:
        return traits
    raise CommandError(
        f"each window ends after {traits.fixed_window / 1_000_000:g} s (limits.fixed_window_seconds), while"
        " the service is examined, and its clock is not moved: have it read one that can be ([clock] in the"
        " binding), or run it with windows of 3600 s at least"
    )
