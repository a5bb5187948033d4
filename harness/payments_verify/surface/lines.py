"""The lines of a log, each of which tells of a request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

Line: TypeAlias = Mapping[str, Any]
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes whose requests are lines for who debugs alone."""
_SLACK_S = 1.0


def lines_of_requests(printed: str) -> Sequence[Line]:
    """The lines that tell of requests, of all that a process has printed."""
    lines = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == "request"]


def is_within(line: Line, began: float, ended: float) -> bool:
    """Whether a line has a time of UTC, between these two of the clock, give or take 1 s."""
    return began - _SLACK_S <= _time_of(line) <= ended + _SLACK_S


def _time_of(line: Line) -> float:
    try:
        told = datetime.fromisoformat(line["timestamp"])
    except (KeyError, TypeError, ValueError):
        return math.nan
    return told.timestamp() if told.utcoffset() == timedelta(0) else math.nan
