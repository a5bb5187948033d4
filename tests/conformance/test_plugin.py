"""The pytest plugin, in a suite of somebody else's: options, and tests only where a service is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

CHARGES = f"exec {sys.executable} {ROOT}/tests/peers/charges/app.py"
BINDING = ROOT / "tests" / "peers" / "charges" / "binding.toml"
SUITE = """
def test_of_theirs():
    pass
"""


def suite(folder: Path, *arguments: str, code: str = SUITE) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


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
    for name in ("level-1", "level-2", "level-3", "level-4[same-key-twice]", "level-5", "test_of_theirs"):
        assert name in run.stdout
    assert "level-4[create-twice]" not in run.stdout  # the service chooses ids
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


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--payments-url", "http://127.0.0.1:1", "--payments-command", "x"], "one of --payments-url and"),
        (
            ["--payments-url", "http://127.0.0.1:1", "--payments-binding", "none.toml"],
            "none.toml: cannot be read",
        ),
        (["--payments-url", "http://127.0.0.1:1", "--payments-level", "4"], "--payments-level"),
    ],
)
def test_what_is_wrong_with_the_options_is_said(options: list[str], told: str, tmp_path: Path) -> None:
    run = suite(tmp_path, *options)
    assert run.returncode == 4, run.stdout + run.stderr
    assert told in run.stderr + run.stdout
