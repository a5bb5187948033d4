"""What wrk prints, and that figures of anything but captures are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.bench.service import load
from lab.bench.service.load import SCRIPTS, Load, LoadError, find_wrk, parse, require_success

PRINTED = """Running 2s test @ http://127.0.0.1:1
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.20ms    2.10ms  40.10ms   90.00%
  3664 requests in 2.00s, 1.02MB read
Requests/sec:   1832.00
result {"requests":3664,"microseconds":2000000,"refused":0,"broken":0,"p50":5203,"p99":23148,"p999":40527}
"""


def test_the_result_is_found_among_what_wrk_prints() -> None:
    found = parse(PRINTED)
    assert found == Load(
        requests=3664, microseconds=2_000_000, refused=0, broken=0, p50=5203, p99=23148, p999=40527
    )
    assert found.per_second == 1832


def test_a_script_may_have_a_list_of_latencies() -> None:
    found = parse('result {"requests":2,"microseconds":1,"refused":0,"broken":0,"latencies":[3,4]}\n')
    assert found.latencies == [3, 4]


@pytest.mark.parametrize(
    "printed", ["", "Requests/sec: 1", "result {}", 'result {"requests":"many"}', "result {"]
)
def test_without_a_result_there_are_no_figures(printed: str) -> None:
    with pytest.raises(LoadError, match="no result"):
        parse(printed)


@pytest.mark.parametrize(("requests", "refused", "broken"), [(100, 1, 0), (100, 0, 1), (0, 0, 0)])
def test_refusals_and_failures_are_no_captures(requests: int, refused: int, broken: int) -> None:
    found = Load(requests=requests, microseconds=1, refused=refused, broken=broken)
    with pytest.raises(LoadError, match=rf"of {requests} requests {refused} were refused and {broken} broke"):
        require_success(found)


def test_what_succeeded_is_left_as_it_is() -> None:
    found = Load(requests=1, microseconds=1, refused=0, broken=0)
    assert require_success(found) is found


def test_without_wrk_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PROGRAM", "no-such-load-generator")
    with pytest.raises(LoadError, match="apt-get install wrk"):
        find_wrk()


def test_every_script_is_there_and_reports() -> None:
    measuring = (SCRIPTS / "measuring.py").read_text()
    named = set(re.findall(r'"(\w+\.lua)"', measuring))
    assert named == {path.name for path in Path(SCRIPTS).glob("*.lua")} - {"payments.lua"}
    for name in named:
        assert "captures.report(" in (SCRIPTS / name).read_text()
