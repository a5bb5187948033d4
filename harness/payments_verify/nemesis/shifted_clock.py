"""Runs ``payments-core`` in a process whose clock is wrong: ``python shifted_clock.py SECONDS serve ...``.

The process' ideas of the time of day (``time.time``, ``datetime.now`` and their kin) are off by SECONDS; what
measures durations is not, as on a host whose clock was set wrong. Run it by its path, so that nothing else is
imported before the clock is shifted.
"""

from __future__ import annotations

import datetime as dt
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_datetime: Any = dt.datetime
_date: Any = dt.date
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime


def shift(seconds: int) -> None:
    """Put this process' time of day ahead, or back if ``seconds`` is negative."""
    delta = dt.timedelta(seconds=seconds)

    class Likewise(type):
        # Values made by C code are of the original types, and have to pass for the shifted ones.
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, cls.__mro__[1])

    class ShiftedDatetime(_datetime, metaclass=Likewise):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            shifted: dt.datetime = _datetime.now(tz) + delta
            return shifted

        @classmethod
        def utcnow(cls) -> dt.datetime:
            return cls.now(dt.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls) -> dt.datetime:
            return cls.now()

    class ShiftedDate(_date, metaclass=Likewise):  # type: ignore[misc]
        @classmethod
        def today(cls) -> dt.date:
            return ShiftedDatetime.now().date()

    module: Any = time
    module.time = lambda: _time() + seconds
    module.time_ns = lambda: _time_ns() + seconds * 1_000_000_000
    module.gmtime = lambda at=None: _gmtime(_time() + seconds if at is None else at)
    module.localtime = lambda at=None: _localtime(_time() + seconds if at is None else at)
    module = dt
    module.datetime, module.date = ShiftedDatetime, ShiftedDate


def main() -> None:
    """Shift the clock, and become ``payments-core``."""
    here = str(Path(__file__).parent)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    shift(int(sys.argv[1]))
    sys.argv[1:2] = []
    runpy.run_module("payments_core", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
