"""Runs ``payments-core`` in a process whose clock is wrong: ``python shifted_clock.py SECONDS serve ...``.

The process' ideas of the time of day (``time.time``, ``datetime.now`` and their kin) are off by SECONDS; what
measures durations is not, as on a host whose clock was set wrong. Run it by its path, so that nothing else is
imported before the clock is shifted.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path

_DATETIME, _DATE = datetime.datetime, datetime.date
_TIME, _TIME_NS, _GMTIME, _LOCALTIME = time.time, time.time_ns, time.gmtime, time.localtime


def shift(seconds: int) -> None:
    """Put this process' time of day ahead, or back if ``seconds`` is negative."""
    delta = datetime.timedelta(seconds=seconds)

    class Likewise(type):
        # Values made by C code are of the original types, and have to pass for the shifted ones.
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class ShiftedDatetime(_DATETIME, metaclass=Likewise):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
            return _DATETIME.now(tz) + delta

        @classmethod
        def utcnow(cls) -> datetime.datetime:  # type: ignore[override]
            return _DATETIME.now(datetime.UTC).replace(tzinfo=None) + delta

        @classmethod
        def today(cls) -> datetime.datetime:  # type: ignore[override]
            return _DATETIME.now() + delta  # noqa: DTZ005 - what today() means

    class ShiftedDate(_DATE, metaclass=Likewise):
        @classmethod
        def today(cls) -> datetime.date:  # type: ignore[override]
            return (_DATETIME.now() + delta).date()  # noqa: DTZ005 - what today() means

    def gmtime(at: float | None = None) -> time.struct_time:
        return _GMTIME(_TIME() + seconds if at is None else at)

    def localtime(at: float | None = None) -> time.struct_time:
        return _LOCALTIME(_TIME() + seconds if at is None else at)

    datetime.datetime = ShiftedDatetime  # type: ignore[misc]
    datetime.date = ShiftedDate  # type: ignore[misc]
    time.time = lambda: _TIME() + seconds
    time.time_ns = lambda: _TIME_NS() + seconds * 1_000_000_000
    time.gmtime, time.localtime = gmtime, localtime


def main() -> None:
    """Shift the clock, and become ``payments-core``."""
    here = str(Path(__file__).parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    shift(int(sys.argv[1]))
    sys.argv[1:2] = []
    runpy.run_module("payments_core", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
