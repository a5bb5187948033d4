"""Whole sessions, by cosmic-ray itself, on a tree of one rule: what ends the command with a failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from lab.mutation import __main__ as command
from lab.mutation.session import TOOL, Setting

needs_the_tool = pytest.mark.skipif(
    not TOOL.exists(), reason="cosmic-ray is installed by `make mutation` alone"
)

RULE = "def is_late(now: int) -> bool:\n    return now >= 3\n"
WEAK = "from rules import is_late\n\n\ndef test_late() -> None:\n    assert is_late(5) and not is_late(1)\n"
STRONG = f"{WEAK}    assert is_late(3) and not is_late(2)\n"
CONFIG = """
[cosmic-ray]
module-path = ["model/rules.py"]
timeout = 60.0
test-command = "pytest -q --noconftest -p no:cacheprovider tests/model"
distributor.name = "local"
filters.operators-filter.exclude-operators = ["core/ReplaceComparisonOperator_GtE_(?!Gt$).*"]
"""
ARGUED = """
[[survivor]]
module = "model/rules.py"
was = "return now >= 3"
becomes = "return now {}"
why = "an example"
"""
SURVIVORS = ("> 3", ">= 2", ">= 4")

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on the tree with these tests and arguments."""
    root = tmp_path / "root"
    setting = Setting(root, tmp_path / "work", "mutation.toml", ("model", "tests/model"))
    monkeypatch.setattr(command, "SETTING", setting)
    app = typer.Typer()
    app.command()(command.main)

    def run(tests: str, *argued: str, rule: str = RULE, options: tuple[str, ...] = ()) -> Result:
        for name, text in (
            ("model/rules.py", rule),
            ("tests/model/test_rules.py", tests),
            ("mutation.toml", CONFIG),
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        survivors = tmp_path / "survivors.toml"
        survivors.write_text("".join(ARGUED.format(becomes) for becomes in argued))
        return CliRunner().invoke(app, ["--survivors", str(survivors), *options])

    return run


@pytest.mark.long
@needs_the_tool
def test_a_survivor_fails_until_it_is_argued_away_and_an_argument_once_its_mutant_is_noticed(
    run: Run,
) -> None:
    survives = run(WEAK)
    assert survives.exit_code == 1
    assert [line for line in survives.output.splitlines() if line.startswith("    + ")] == [
        f"    + return now {becomes}" for becomes in SURVIVORS
    ]
    assert "0 noticed, 0 argued away, 3 survive" in survives.output
    assert run(WEAK, *SURVIVORS[:2]).exit_code == 1
    assert run(WEAK, *SURVIVORS).exit_code == 0
    stale = run(STRONG, SURVIVORS[0])
    assert stale.exit_code == 1
    assert "argued away, and does not survive: model/rules.py\n" in stale.output
    noticed = run(STRONG)
    assert noticed.exit_code == 0
    assert "3 noticed, 0 argued away, 0 survive" in noticed.output


@pytest.mark.long
@needs_the_tool
def test_a_session_that_was_ended_is_no_success_and_goes_on(run: Run, tmp_path: Path) -> None:
    ended = run(STRONG, options=("--minutes", "0"))
    assert ended.exit_code == 2
    assert "run it again to go on" in ended.output
    made = (tmp_path / "work" / "session.sqlite").stat().st_ino
    assert run(STRONG).exit_code == 0
    assert (tmp_path / "work" / "session.sqlite").stat().st_ino == made
    assert run(STRONG, options=("--fresh", "--minutes", "0")).exit_code == 2


@needs_the_tool
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            "def is_late(now: int) -> bool:\n    return now < 3\n",
            "FAILED tests/model/test_rules.py::test_late",
        ),
        ("def is_late(:\n", "SyntaxError"),
    ],
)
def test_tests_that_fail_on_the_code_as_it_is_are_no_success(run: Run, rule: str, said: str) -> None:
    failed = run(STRONG, rule=rule)
    assert failed.exit_code == 2
    assert "mutation: `pytest -q …` ended with " in failed.output
    assert said in failed.output


def test_without_the_tool_the_command_says_how_to_get_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.mutation.session.TOOL", Path("/nowhere/cosmic-ray"))
    missing = run(STRONG)
    assert missing.exit_code == 2
    assert "mutation: cosmic-ray is not installed; `make mutation` installs it" in missing.output
