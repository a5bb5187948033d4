"""What the parts of the static check say, each of which looks at things of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Findings:
    """What a part has looked at.

    Attributes:
        looked_at: how many things.
        problems: what is wrong, each with its invariant first.
    """

    looked_at: int
    problems: Sequence[str]
