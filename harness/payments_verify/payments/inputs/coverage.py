"""What a run says of classes of inputs: how often it came to each, and which are left out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH

from payments_verify.payments.inputs.classes import (
    ALL_CLASSES,
    NAMED_TIME_ZONE,
    TIME_ZONE,
    left_out,
    needs_keys,
)
from payments_verify.payments.observed.traits import Traits

_VARIABLES = ("TZ", "PGTZ")  # the host's time zone, and that of sessions, by libpq


@dataclass
class InputClasses:
    """The classes of inputs of one run.

    Attributes:
        reuses_keys: whether the run uses keys more than once; if not, classes of keys are left out.
        traits: what the service has; ``None`` until it is known.
    """

    reuses_keys: bool = True
    traits: Traits | None = None

    def as_json(self, reached: Mapping[str, int]) -> dict[str, Any]:
        """How often each class was reached, and why others are left out."""
        out = self._left_out()
        return {
            "reached": {name: reached.get(name, 0) for name in ALL_CLASSES if name not in out},
            "left_out": dict(out),
        }

    def complaint(self, reached: Mapping[str, int]) -> str:
        """Why there is no verdict, if a class was not reached; empty if all were."""
        out = self._left_out()
        missed = [name for name in ALL_CLASSES if name not in out and not reached.get(name)]
        return f"no program came to these classes of inputs: {', '.join(missed)}" if missed else ""

    def _left_out(self) -> Mapping[str, str]:
        if self.traits is None:
            return dict.fromkeys(ALL_CLASSES, "the service was not opened")
        keys = (
            {}
            if self.reuses_keys
            else dict.fromkeys(filter(needs_keys, ALL_CLASSES), "keys are not repeated")
        )
        return {**keys, **left_out(self.traits)}


@contextmanager
def in_another_time_zone() -> Iterator[None]:
    """Give this process, those that it starts, and their sessions a time zone that is not UTC."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    has_name = any((Path(folder) / NAMED_TIME_ZONE).is_file() for folder in TZPATH)
    _set({"TZ": NAMED_TIME_ZONE if has_name else TIME_ZONE, "PGTZ": TIME_ZONE})
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    time.tzset()
