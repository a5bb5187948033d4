"""The verdicts, the same for every check, and the exit codes that follow from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["holds", "violated", "no verdict"]
"""``no verdict`` is every end without a verdict: an absent tool, a limit reached, a proof not found."""

EXIT_CODES: Mapping[Verdict, int] = {"holds": 0, "violated": 1, "no verdict": 2}
"""The exit codes of every command."""


def worst(verdicts: Iterable[str]) -> Verdict:
    """Return the verdict on several things together.

    Args:
        verdicts: The verdict on each; anything else counts as none.

    Returns:
        ``violated`` if one is violated, ``holds`` if there are any and all hold, else ``no verdict``.
    """
    found = set(verdicts)
    if "violated" in found:
        return "violated"
    return "holds" if found == {"holds"} else "no verdict"


class Judged(ABC):
    """Something that has a verdict, and says why as a string."""

    @property
    @abstractmethod
    def verdict(self) -> Verdict:
        """The verdict."""

    @property
    def holds(self) -> bool:
        """Whether everything was run, and nothing was wrong."""
        return self.verdict == "holds"

    def assert_holds(self) -> None:
        """Require that it holds.

        Raises:
            AssertionError: something is wrong, with the picture; or not everything was run.
        """
        __tracebackhide__ = True
        if not self.holds:
            raise AssertionError(str(self))
