"""What a counterexample breaks, as the report says: a kill counts if the mutant is to break that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NAMED = re.compile(r"(?:^\s*|: )(I\d+(?:, I\d+)*): ", re.MULTILINE)
_NOT_LINEARIZABLE = re.compile(r"(?<!I\d: )(?<!I1\d: )not linearizable")


def invariants_told(results: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """The invariants that a report's counterexamples break; ``None`` if it tells of none, as one on rules.

    Args:
        results: the report, of which one result at least is violated.
    """
    violated = [result for result in results if result["verdict"] == "violated"]
    if all(result.get("kind") == "equivalence" for result in violated):
        return None
    return tuple(
        sorted({name for result in violated for name in _of(result)}, key=lambda name: int(name[1:]))
    )


def _of(result: Mapping[str, Any]) -> Iterator[str]:
    found = result.get("violation")
    if isinstance(found, Mapping) and "breaks" in found:
        yield from found["breaks"]
        return
    told = "\n".join(str(result.get(name) or "") for name in ("counterexample", "problem"))
    for named in _NAMED.findall(told):
        yield from named.split(", ")
    # Where more is known of a history, the words stand behind the invariants that it breaks.
    if _NOT_LINEARIZABLE.search(told):
        yield "I10"
