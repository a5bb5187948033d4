"""A process whose clock is off: every way to ask it for the time of day, and no duration."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from payments_verify.nemesis import shifted_clock

LIMIT_S = 60
ASKS = """
import calendar, datetime, json, runpy, sys, time
real = datetime.datetime.now(datetime.UTC)
before = time.monotonic()
runpy.run_path(PATH)["shift"](int(sys.argv[1]))
utc = datetime.UTC
made = datetime.datetime.fromtimestamp(0, utc)
print(json.dumps({
    "time": time.time(),
    "time_ns": time.time_ns() / 1e9,
    "gmtime": calendar.timegm(time.gmtime()),
    "localtime": time.mktime(time.localtime()),
    "now": datetime.datetime.now(utc).timestamp(),
    "utcnow": datetime.datetime.utcnow().replace(tzinfo=utc).timestamp(),
    "today": datetime.date.today().toordinal(),
    "epoch": time.gmtime(0).tm_year,
    "monotonic": time.monotonic() - before,
    "original": isinstance(real, datetime.datetime),
    "other": isinstance("text", datetime.datetime),
    "made": made.timestamp(),
}))
"""


@pytest.mark.parametrize("shift", [5 * 86_400, -7200])
def test_every_clock_of_the_day_is_off(shift: int) -> None:
    program = ASKS.replace("PATH", repr(str(Path(shifted_clock.__file__))))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, str(shift)]
    began = time.time()
    printed = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
    ended = time.time()
    seen = msgspec.json.decode(printed)
    for name in ("time", "time_ns", "gmtime", "localtime", "now", "utcnow"):
        assert began - 1 <= seen[name] - shift <= ended + 1, name
    days = {time.gmtime(at + shift) for at in (began, ended)}
    assert seen["today"] in {_ordinal(day) for day in days}
    assert (seen["epoch"], seen["made"]) == (1970, 0)
    assert 0 <= seen["monotonic"] <= ended - began + 1
    assert (seen["original"], seen["other"]) == (True, False)


def _ordinal(day: time.struct_time) -> int:
    return dt.date(day.tm_year, day.tm_mon, day.tm_mday).toordinal()


def test_it_becomes_the_service(capfd: pytest.CaptureFixture[str]) -> None:
    path = str(Path(shifted_clock.__file__))
    ended = subprocess.run([sys.executable, path, "3600", "token"], timeout=LIMIT_S, check=False)
    assert ended.returncode == 0
    assert capfd.readouterr().out.startswith("token  pay_")
