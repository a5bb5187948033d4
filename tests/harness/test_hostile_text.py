"""Text of others is shown, not obeyed: no byte of it moves a cursor, turns the writing or ends a line."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from lab.cli import app as lab
from payments_verify.cli import app, running, telling
from payments_verify.cli.conformance import show
from payments_verify.cli.progress import progress_bar
from payments_verify.payments.conformance.levels import Conformance, LevelResult
from payments_verify.pytest_plugin import NotConformingError
from payments_verify.result import CheckResult, Reach
from tests.docs.pages import ROOT

explore, soak = (importlib.import_module(f"payments_verify.cli.{name}") for name in ("explore", "soak"))

# a line break, a colour, the cursor's home, C1's CSI, a bidi override, a bell, a delete, markup of rich
HOSTILE = "a\n\x1b[31m\x1b[H\x9b2J\u202egpj\x07\x7f[/bold][link"


def assert_harmless(text: str) -> None:
    assert [one for one in text if not one.isprintable() and one != "\n"] == []
    assert not any(line.startswith(("\x1b", "[31m")) for line in text.splitlines())


def history(*events: tuple[str, int, str, Any], spec: str) -> str:
    header = {"format": "payments-verify-history", "version": 1, "spec": spec}
    lines = [{"type": kind, "process": process, "f": f, "value": value} for kind, process, f, value in events]
    return "\n".join(json.dumps(each) for each in [header, *lines])


def captured_twice() -> str:
    of = {"payment": HOSTILE}
    events: list[tuple[str, int, str, Any]] = []
    for f, arguments, outcome in (
        ("create", {"amount": 1}, "created"),
        ("authorize", {"window": 10**9}, "authorized"),
        ("capture", {"amount": 1, "key": HOSTILE}, "captured"),
        ("capture", {"amount": 1, "key": HOSTILE + "2"}, "captured"),
    ):
        answer = {"outcome": outcome, **({"body": HOSTILE} if f == "capture" else {})}
        events += [("invoke", 0, f, of | arguments), ("ok", 0, f, answer)]
    return history(*events, spec="payments")


def stale(spec: str, write: str, read: str) -> str:
    key = {"key": HOSTILE}
    full = key | {"value": HOSTILE}
    seen = key | {"value": HOSTILE + HOSTILE}
    asked = key if spec == "kv" else key | {"value": None}
    return history(
        ("invoke", 0, write, full),
        ("ok", 0, write, full),
        ("invoke", 1, read, asked),
        ("ok", 1, read, seen),
        spec=spec,
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (captured_twice(), 1),
        (stale("kv", "put", "get"), 1),
        (stale("cas-register", "write", "read"), 1),
        (stale("etcd", "write", "read"), 1),
        (history(spec=HOSTILE), 2),
        (history(("invoke", 0, HOSTILE, {}), spec="payments"), 2),
        (history(("invoke", 0, "create", {"payment": HOSTILE, "amount": True}), spec="payments"), 2),
        (json.dumps({"type": HOSTILE}), 2),
        (json.dumps({HOSTILE: 1}), 2),
        (HOSTILE, 2),
        (f"0 :invoke :write {HOSTILE!r}x", 2),
        (f"0 :invoke :write \x1b[31m\u202e\n{HOSTILE}", 2),
        ("{:process 0, :type :invoke, :f :\x9b, :value \x1b}", 2),
    ],
)
def test_a_history_and_its_files_name_are_shown_and_not_obeyed(
    content: str, code: int, tmp_path: Path
) -> None:
    path = tmp_path / HOSTILE.replace("/", "")
    path.write_text(content)
    for arguments in ([], ["--html", str(tmp_path / f"p{HOSTILE.replace('/', '')}")], ["--json"]):
        result = CliRunner().invoke(app, ["history", str(path), *arguments])
        assert result.exit_code == code, result.output
        assert_harmless(result.stdout)
        assert_harmless(result.stderr)
    assert json.loads(result.stdout)[0]["verdict"] == ("violated" if code == 1 else "no verdict")
    (page,) = [each for each in tmp_path.iterdir() if each.name.startswith("p")]
    assert_harmless(page.read_text())


def wrong() -> CheckResult:
    return CheckResult(
        HOSTILE, "differential", 1, "violated", 1.0, counterexample=f"{HOSTILE}\nand a second line"
    )


def test_results_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    running.show([wrong()], Console(file=sys.stdout))
    found = Conformance(
        HOSTILE,
        range(1, 3),
        (LevelResult(1, "violated", (wrong(),)), LevelResult(2, "not run", reason=HOSTILE)),
        (HOSTILE,),
    )
    show(found, 1, Console(file=sys.stdout))
    telling.print_json(found.as_json())
    telling.print_error(HOSTILE)
    seen = capsys.readouterr()
    assert "and a second line" in seen.out
    assert "[/bold][link" in seen.out
    assert_harmless(seen.out)
    assert_harmless(seen.err)
    assert "\\u009b" in seen.out  # as JSON has it


def test_what_a_service_prints_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    command = r"printf 'no\033[31m\302\233port\342\200\256\n' >&2; exit 3"
    run = CliRunner().invoke(app, ["conformance", "--command", command, "--output", str(tmp_path)])
    assert run.exit_code == 2
    assert r"\x1b[31m" in run.output
    assert_harmless(run.output)


def test_a_failure_in_a_report_of_junit_is_shown_and_not_obeyed() -> None:
    message = str(NotConformingError(LevelResult(1, "violated", (wrong(),))))
    assert r"\x1b[31m" in message
    assert_harmless(message)


@dataclass(frozen=True)
class Somebody:
    """Racing clients whose names are not ours."""

    name: str = HOSTILE
    anomaly: str = HOSTILE
    actors: Sequence[Any] = field(default_factory=lambda: [SimpleNamespace(name=HOSTILE)])


NAME = HOSTILE.replace("/", "")
SERVER = "--postgres-bin={folder}"
APPS = (app, lab)
GIVEN = {
    "verify": [[SERVER, "--output={folder}"]],
    "model": [["--check={name}"]],
    "prove": [["--weakened={name}"]],
    "static": [[SERVER]],
    "machine": [[SERVER], [SERVER, "--races"], ["--system={name}"]],
    "stress": [[SERVER, "--histories={folder}"]],
    "explore": [["--list"], ["--scenario={name}"], ["--strategy={name}"], [SERVER, "--command={name}"]],
    "replay": [["{folder}"], ["{file}"], ["{file}", "--binding={folder}", "--command={name}"]],
    "faults": [["--scenario={name}"], [SERVER]],
    "soak": [["--list"], ["--check={folder}"], ["{name}"], [SERVER, "--folder={folder}"]],
    "history": [["{folder}"], ["{file}", "--html={folder}"], ["{file}", "--spec={name}"]],
    "conformance": [
        ["--command={name}", "--binding={file}"],
        ["--url={name}"],
        ["--command={name}", SERVER],
        ["--only={name}", "--command={name}"],
        ["--command={name}", SERVER, "--record={folder}/new"],
    ],
    "audit": [["{name}"], ["postgresql://127.0.0.1:1/{name}"]],
    "report": [["{folder}"], ["{broken}"]],
    "specs": [["--root={folder}", "--check"]],
    "mutants": [["--list", "--catalogue={catalogue}"], ["--only={name}"], ["--catalogue={folder}"]],
    "discovery": [["--only={name}"]],
    "false-alarms": [["--peers={folder}", SERVER], ["--peers={file}"], ["--only={name}", SERVER]],
    "main-job": [[SERVER, "--output={folder}"]],
    "peers": [["{folder}"], ["{file}"]],
    "practice": [["new", "{folder}"], ["check", "{folder}", SERVER]],
    "tla": [["check", "{name}"], ["check", "--jar={folder}"], ["check", "--specification={folder}"]],
}
"""What each command is given that others may have named."""


def test_every_command_is_among_these() -> None:
    assert set(GIVEN) == {name for each in APPS for name in typer.main.get_command(each).commands}  # type: ignore[attr-defined]


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Files and folders with hostile names, and with hostile content."""
    folder, broken, catalogue = (tmp_path / f"{name}{NAME}" for name in ("folder", "broken", "catalogue"))
    file = tmp_path / f"file{NAME}"
    file.write_text(json.dumps({HOSTILE: HOSTILE}))
    broken.mkdir()
    (broken / "report.json").write_text(json.dumps({"format": HOSTILE}))
    catalogue.mkdir()
    source = next((ROOT / "lab" / "mutants" / "bugs").glob("*.toml")).read_text()
    stands_for = json.dumps(HOSTILE)
    (catalogue / f"m{NAME}.toml").write_text(
        re.sub(r"(?ms)^stands_for = (\"{3}.*?\"{3}|[^\n]*)", lambda _: f"stands_for = {stands_for}", source)
    )
    named = {"name": NAME, "folder": folder, "file": file, "broken": broken, "catalogue": catalogue}
    return {name: str(value) for name, value in named.items()}


@pytest.mark.parametrize("command", GIVEN)
def test_every_command_is_given_hostile_names(
    command: str, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explore, "scenarios_named", lambda names: [Somebody()] if not names else _none(names))
    monkeypatch.setattr(soak, "FAULTS", {"kill": SimpleNamespace(about="kills", missing=lambda: HOSTILE)})
    for arguments in GIVEN[command]:
        program = next(each for each in APPS if command in typer.main.get_command(each).commands)  # type: ignore[attr-defined]
        done = CliRunner().invoke(program, [command, *(each.format(**places) for each in arguments)])
        assert "No such option" not in done.output
        assert isinstance(done.exception, SystemExit | None), done.exception
        assert_harmless(done.stdout)
        assert_harmless(done.stderr)


def _none(names: Sequence[str]) -> Sequence[Any]:
    raise typer.BadParameter(f"no scenario is named {', '.join(names)}")


def test_why_a_fault_could_not_happen_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    run = SimpleNamespace(absent={"kill": HOSTILE}, seconds=1.0, seed=1)
    counts = dict.fromkeys(("windows", "operations", "acknowledged", "lost", "doubled"), 0)
    found = SimpleNamespace(
        faults=[], run=run, problems=[HOSTILE], verdict="holds", reach=Reach("x", [HOSTILE], []), **counts
    )
    soak.show_report(found, Path(HOSTILE), Console(file=sys.stdout, soft_wrap=True))
    assert_harmless(capsys.readouterr().out)


def test_progress_is_shown_and_not_obeyed() -> None:
    for is_terminal in (True, False):
        seen = io.StringIO()
        console = Console(file=seen, force_terminal=is_terminal, color_system=None, width=300)
        with progress_bar("history", console=console, every_s=0.01) as progress:
            progress(1, 2, HOSTILE)
            time.sleep(0.2)
        assert "[/bold][link" in seen.getvalue()
        assert not {"\x9b", "\u202e", "\x07", "\x7f"} & set(seen.getvalue())


def test_commands_print_text_by_what_makes_it_visible() -> None:
    folder = Path(str(running.__file__)).parent
    uses = {file.name for file in folder.glob("*.py") if "typer.echo(" in file.read_text()}
    # their own text, which they print as it is: the greeting, and a binding file to begin with
    # What was printed so already, without its secrets.
    assert uses <= {"telling.py", "__init__.py", "conformance.py", "discovering.py"}
