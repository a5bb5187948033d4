"""The contract that is served is the one that clients were given: the kept document, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lab.static_checks.findings import Findings

CONTRACT = Path(__file__).parents[2] / "specs" / "openapi.json"


def check_contract(served: bytes, kept: bytes) -> Findings:
    """See how the OpenAPI document of a service differs from the kept one.

    Args:
        served: the service's.
        kept: the other.
    """
    one, other = (msgspec.json.decode(each) for each in (served, kept))
    differing = [f"I8: the contract has {each}" for each in _differences(one, other, "")]
    return Findings(sum(1 for _ in _parts(other)), differing)


def _differences(served: Any, kept: Any, at: str) -> Iterator[str]:
    if isinstance(served, dict) and isinstance(kept, dict):
        for name in [*kept, *(each for each in served if each not in kept)]:
            yield from _differences(served.get(name), kept.get(name), f"{at}/{name}")
    elif served != kept:
        yield f"{served!r} at {at}, and not {kept!r}"


def _parts(kept: Any) -> Iterator[object]:
    for each in kept.values() if isinstance(kept, dict) else ():
        yield each
        yield from _parts(each)
