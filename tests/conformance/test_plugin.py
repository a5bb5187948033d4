"""The pytest plugin, in a suite of somebody else's: options, and tests only where a service is named."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from payments_verify.systems import empty_databases
from pgweave.service.command import running_command
from tests.docs.pages import ROOT
from tests.support.postgres import chosen_bin_dir
from tests.support.pytest_runs import run_pytest

CHARGES = f"exec {sys.executable} {ROOT}/examples/peers/charges/app.py"
BINDING = ROOT / "examples" / "peers" / "charges" / "binding.toml"
NOWHERE = "http://127.0.0.1:1"
SUITE = """
def test_of_theirs():
    pass
"""


def suite(folder: Path, *arguments: str, code: str = SUITE) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(code)
    return run_pytest(*arguments, cwd=folder)


def test_it_does_nothing_where_no_service_is_named(tmp_path: Path) -> None:
    code = (
        "import sys\n\ndef test_nothing_is_loaded():\n"
        "    assert 'payments_verify.systems' not in sys.modules\n"
    )
    run = suite(tmp_path, code=code)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout
    assert "payments:" not in run.stdout


def test_each_level_and_each_scenario_is_a_test(tmp_path: Path) -> None:
    options = ["--payments-command", CHARGES, "--payments-binding", str(BINDING), "--payments-quick"]
    run = suite(tmp_path, *options, "--collect-only", "-q")
    assert run.returncode == 0, run.stdout + run.stderr
    for name in ("level-1", "level-2", "level-3", "level-4[same-key-twice]", "test_of_theirs"):
        assert name in run.stdout
    assert "level-5[one-capture]" in run.stdout
    assert "level-5[same-key-twice]" in run.stdout
    assert "level-5[disconnect]" in run.stdout
    assert "level-4[create-twice]" not in run.stdout  # the service chooses ids
    number = run.stdout.count("level-") + run.stdout.count("test_of_theirs")
    assert f"{number} tests collected" in run.stdout
    last = suite(tmp_path, *options, "--payments-level", "2", "--collect-only", "-q").stdout
    assert "level-2" in last
    assert "level-3" not in last


def test_a_failure_is_the_counterexample_and_a_junit_report_has_it(tmp_path: Path) -> None:
    options = ["--payments-command", CHARGES, "--payments-binding", str(BINDING), "--payments-quick"]
    run = suite(tmp_path, *options, "-k", "different-keys or theirs", "--junitxml=report.xml")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "payments, not checked: commands.attempts" in run.stdout
    assert "but payments answers already_captured" in run.stdout
    assert "Traceback" not in run.stdout
    report = (tmp_path / "report.xml").read_text()
    assert 'name="level-4[different-keys]"' in report
    assert "already_captured" in report
    assert '<property name="payments_cases" value="2"' in report
    seed = re.search(r"payments: .*, seed (\d+)", run.stdout)
    assert seed is not None
    assert f'<property name="payments_seed" value="{seed[1]}"' in report
    assert 'classname="payments"' in report
    assert 'classname=".' not in report


def test_a_test_of_theirs_examines_the_service_as_the_options_say(tmp_path: Path) -> None:
    code = """
def test_level(payments_subject, payments_examine):
    assert payments_subject.open_behind_gate is not None
    result = payments_examine(4)
    assert (result.level, result.verdict) == (4, "violated")
    assert "not linearizable" in result.counterexample
"""
    options = ["--payments-command", CHARGES, "--payments-binding", str(BINDING), "--payments-quick"]
    run = suite(tmp_path, *options, "-k", "test_level", code=code)
    assert run.returncode == 0, run.stdout + run.stderr
    without = suite(tmp_path, code=code)
    assert without.returncode == 1
    assert "name a service: --payments-url URL or --payments-command CMD" in without.stdout


def test_a_running_service_is_examined_at_its_url(tmp_path: Path) -> None:
    async def examined(dsn: str) -> subprocess.CompletedProcess[str]:
        async with running_command(CHARGES, {"DATABASE_URL": dsn}, "/charges") as running:
            options = ["--payments-url", running.url, "--payments-binding", str(BINDING), "--payments-quick"]
            options += ["--payments-level", "1", "--junitxml=report.xml", "-v"]
            return await asyncio.to_thread(suite, tmp_path, *options)

    with empty_databases(chosen_bin_dir()) as new_database:
        run = asyncio.run(examined(new_database()))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "collected 2 items" in run.stdout
    assert "payments::level-1 PASSED" in run.stdout
    report = (tmp_path / "report.xml").read_text()
    assert 'tests="2"' in report
    assert 'name="level-1"' in report


def test_a_service_that_does_not_start_is_an_error_in_one_line(tmp_path: Path) -> None:
    options = ["--payments-command", "echo no database; exit 3", "--payments-quick", "--payments-level", "1"]
    run = suite(tmp_path, *options, "-k", "level", "--junitxml=report.xml", "--payments-seed", "7")
    assert run.returncode == 1
    assert "1 error in" in run.stdout
    assert " failed" not in run.stdout
    (line,) = [line for line in run.stdout.splitlines() if line.startswith("no verdict: ")]
    assert "CommandError: nothing serves at" in line
    assert "no database" in line
    assert ", with TZ=" in line
    assert "Traceback" not in run.stdout
    assert "seed 7" in run.stdout
    report = (tmp_path / "report.xml").read_text()
    assert 'errors="1" failures="0"' in report


def test_a_seed_is_drawn_anew_each_time(tmp_path: Path) -> None:
    options = ["--payments-url", NOWHERE, "--collect-only"]
    seeds = {re.findall(r", seed (\d+)", suite(tmp_path, *options).stdout)[0] for _ in range(3)}
    assert len(seeds) > 1


def test_the_page_names_the_options_that_there_are(tmp_path: Path) -> None:
    named = set(re.findall(r"--payments-\w+", (ROOT / "specs" / "conformance.md").read_text()))
    there = set(re.findall(r"--payments-\w+", suite(tmp_path, "--help").stdout))
    assert named == there - {"--payments-output"}


def test_what_was_not_reached_stands_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(PARTIAL)
    options = [
        "--payments-url",
        NOWHERE,
        "--payments-level",
        "1",
        "--junitxml=report.xml",
        "-rP",
    ]
    run = suite(tmp_path, *options)
    assert run.returncode == 0, run.stdout + run.stderr
    left_out = "1 of 2 kinds of fault; not reached: disk full"
    assert left_out in run.stdout
    assert (
        f'<property name="payments_not_reached" value="{left_out}"' in (tmp_path / "report.xml").read_text()
    )


PARTIAL = """
from payments_verify import pytest_plugin
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.result import CheckResult, Reach

reach = Reach("kinds of fault", ["stop", "disk full"], {"stop"})
check = CheckResult(name="faults", kind="faults", cases=1, verdict="holds", seconds=0.1, reach=reach)
pytest_plugin._examined = lambda *_: LevelResult(1, "holds", (check,))
"""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--payments-url", NOWHERE, "--payments-command", "x"], "one of --payments-url and"),
        (
            ["--payments-url", NOWHERE, "--payments-binding", "none.toml"],
            "none.toml: cannot be read",
        ),
        (["--payments-url", NOWHERE, "--payments-level", "4"], "--payments-level"),
        (["--payments-url", NOWHERE, "--payments-level", "0"], "there are 1 to 3"),
        (
            ["--payments-url", NOWHERE, "--payments-server", "host=x"],
            "goes with --payments-command",
        ),
        (["--payments-server", "host=x"], "goes with --payments-command"),
        (["--payments-command", "x", "--payments-server", "http://db"], "no connection string of PostgreSQL"),
        (["--payments-command", "x", "--payments-server", "host=127.0.0.1 port=1"], "payments: "),
    ],
)
def test_what_is_wrong_with_the_options_is_said(options: list[str], told: str, tmp_path: Path) -> None:
    run = suite(tmp_path, *options)
    assert run.returncode == 4, run.stdout + run.stderr
    assert told in run.stderr + run.stdout
