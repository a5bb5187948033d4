"""Exit code 1 is a violation and nothing else: whatever else ends a command, it says so, with 2."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from lab.cli import app as lab
from payments_verify.called import TO_VERIFY
from payments_verify.cli import app
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.scenarios.schedule_file import SavedSchedule, write
from pgweave.history.operations import History

LIMIT_S = 120
FILES = Path(__file__).parents[1] / "pgweave" / "histories"
GOOD, BAD = FILES / "cas-register-ok-concurrent-writes.jsonl", FILES / "cas-register-bad-stale-read.jsonl"

COMMANDS: dict[tuple[str, ...], tuple[str, str]] = {
    ("verify", "--quick"): ("payments_verify.cli.verify", "run_at_once"),
    ("model",): ("payments_verify.cli.model", "progress_bar"),
    ("prove",): ("lab.cli.prove", "progress_bar"),
    ("static",): ("lab.cli.static", "shipped_static_check"),
    ("machine",): ("payments_verify.cli.differential", "machine_check"),
    ("machine", "--races"): ("payments_verify.cli.differential", "racing_check"),
    ("stress",): ("payments_verify.cli.differential", "stress_check"),
    ("explore",): ("payments_verify.cli.explore", "explore_scenario"),
    ("replay", "FILE"): ("payments_verify.cli.replay", "explored"),
    ("faults",): ("payments_verify.cli.faults", "explore_plan"),
    ("soak", "--folder", "soak"): ("payments_verify.cli.soak", "run_soak"),
    ("history", "FILE"): ("payments_verify.cli.history", "load"),
    ("conformance", "--url", "http://127.0.0.1:1"): ("payments_verify.cli.conformance", "examine"),
    ("audit", "postgresql://127.0.0.1:1/none"): ("payments_verify.cli.audit", "run_audit"),
    ("report", "."): ("payments_verify.cli.report", "page"),
    ("specs", "--check"): ("lab.cli.specs", "Sources"),
    ("mutants",): ("lab.cli.mutants", "load"),
    ("discovery",): ("lab.cli.discovery", "load"),
    ("main-job", "--quick"): ("lab.cli.main_job", "MainJob"),
    ("peers",): ("lab.cli.peers", "every_peer_in"),
    ("false-alarms",): ("lab.cli.false_alarms", "server_version"),
    ("practice", "new", "exercise"): ("payments_verify.cli.practice", "write_skeleton"),
    ("practice", "check", "."): ("payments_verify.cli.practice", "command_of"),
    ("tla", "check"): ("lab.cli.tla", "models_named"),
    ("tla", "counterexample", "Payments"): ("lab.cli.tla", "models_named"),
    ("tla", "traces"): ("lab.cli.tla", "modelled"),
}
"""Each command, with something that it calls, which fails."""


FAILING = """
import importlib, sys
from pgweave import outermost
name, hook, *arguments = sys.argv[1:]
module = importlib.import_module(name)
assert hasattr(module, hook)
class Failing:
    def __call__(self, *_arguments, **_options):
        raise ZeroDivisionError("of the test")
    def __getattr__(self, name):
        raise ZeroDivisionError("of the test")
setattr(module, hook, Failing())
cli = importlib.import_module(name.rpartition(".")[0])
sys.argv = [cli.PROGRAM, *arguments]
outermost.run(cli.PROGRAM, cli.command)
"""


def commands(group: object, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in getattr(group, "commands").items():  # noqa: B009 - typer's own class
        loaded = command.load() if hasattr(command, "load") else command
        if hasattr(loaded, "commands"):
            yield from commands(loaded, (*before, name))
        else:
            yield (*before, name)


def run(
    arguments: Sequence[str], folder: Path, *, before: Callable[[], object] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, *arguments],
        cwd=folder,
        text=True,
        timeout=LIMIT_S,
        check=False,
        preexec_fn=before,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def verify(arguments: Sequence[str], folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return run(["-m", "payments_verify", *arguments], folder, **options)  # type: ignore[arg-type]


def test_every_command_is_here() -> None:
    for each in (app, lab):
        there = set(commands(typer.main.get_command(each)))
        assert there <= {words[: len(names)] for names in there for words in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_a_command_does_not_expect_is_no_violation(words: tuple[str, ...], tmp_path: Path) -> None:
    if words[0] == "replay":
        words = ("replay", str(schedule(tmp_path)))
    place = COMMANDS.get(words, COMMANDS["replay", "FILE"])
    done = run(["-c", FAILING, *place, *words], tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "internal error, no verdict: ZeroDivisionError: of the test" in done.stderr
    assert "Traceback" not in done.stderr
    kept = re.search(r"please report it with the traceback: (\S+)", done.stderr)
    assert kept is not None
    file = Path(kept[1])
    try:
        assert "ZeroDivisionError: of the test" in file.read_text()
        assert "Traceback (most recent call last)" in file.read_text()
    finally:
        file.unlink()


def test_results_hold_what_went_wrong_also_in_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"latin-\xe9")
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONIOENCODING": "utf-8"}
    words = ("payments_verify.cli.differential", "machine_check", "machine", "--json")
    done = run(["-c", FAILING, *words], tmp_path, env=environment)
    assert done.returncode == 2, (done.stdout, done.stderr)
    (result,) = json.loads(done.stdout)
    assert "latin-\\" in result["counterexample"]  # where its traceback is, or that no server can live there
    assert "latin-\\" in done.stderr


def schedule(folder: Path) -> Path:
    path = folder / "a.schedule.json"
    name = next(iter(SCENARIOS))
    write(path, SavedSchedule(scenario=name, service="x", schedule=(0,), steps=(), actors=()))
    return path


ERRORS = [
    RuntimeError("x"),
    AssertionError("x"),
    OSError(28, "No space left on device"),
    BrokenPipeError(32, "Broken pipe"),
    psycopg.OperationalError("the server closed the connection"),
    MemoryError(),
    RecursionError(),
    EOFError(),
    typer.Abort(),
    SystemExit(1),
    GeneratorExit(),
    TimeoutError("x"),
    ExceptionGroup("two", [RuntimeError("x"), ValueError("y")]),
    subprocess.TimeoutExpired("initdb", 60),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_whatever_is_raised_is_no_violation(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_arguments: object) -> History:
        raise error

    module = import_module("payments_verify.cli.history")
    monkeypatch.setattr(module, "load", load)
    one = CliRunner().invoke(app, ["history", str(GOOD)])
    assert one.exit_code == 2
    assert "Traceback" not in one.output
    monkeypatch.setattr(module, "progress_bar", load)
    assert CliRunner().invoke(app, ["history", str(GOOD)]).exit_code == 2


def test_an_error_after_a_violation_does_not_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_arguments: object) -> object:
        raise ZeroDivisionError

    module = import_module("payments_verify.cli.history")
    monkeypatch.setattr(module, "explain", failing)
    done = CliRunner().invoke(app, ["history", str(BAD)])
    assert done.exit_code == 1
    assert f"{BAD}: violated" in done.stdout
    assert "internal error" in done.stderr


@pytest.mark.parametrize(("file", "code"), [(GOOD, 2), (BAD, 1)])
def test_a_page_that_cannot_be_written_keeps_it_from_being_0_and_leaves_1(
    file: Path, code: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    page = tmp_path / "file" / "page.html"
    done = verify(["history", str(file), "--html", str(page)], tmp_path)
    assert done.returncode == code, done.stderr
    assert f"{file}: {'violated' if code == 1 else 'holds'}" in done.stdout
    assert f"{page}: cannot be written" in done.stderr


@pytest.mark.parametrize(("file", "code"), [(GOOD, 2), (BAD, 1)])
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_a_full_disk_behind_standard_output_is_said(
    file: Path, code: int, as_json: list[str], tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        done = verify(["history", str(file), *as_json], tmp_path, stdout=full)
    assert done.returncode == code
    assert "standard output could not be written to: [Errno 28]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("file", "code"), [(GOOD, 0), (BAD, 1)])
def test_who_reads_no_further_changes_no_verdict(file: Path, code: int, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = verify(["history", str(file), str(file)], tmp_path, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize("number", [1, 2])
def test_a_stream_that_is_closed_changes_no_verdict(number: int, tmp_path: Path) -> None:
    for file, code in ((GOOD, 0), (BAD, 1)):
        done = verify(["history", str(file)], tmp_path, before=partial(os.close, number))
        assert done.returncode == code


def test_standard_error_that_cannot_be_written_to_changes_no_verdict(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        for file, code in ((GOOD, 0), (BAD, 1), (Path("none"), 2)):
            assert verify(["history", str(file)], tmp_path, stderr=full).returncode == code


@pytest.mark.parametrize(
    "words",
    [["machine", "--system", "in-memory", "--examples", "5"], ["explore", "--scenario", "different-keys"]],
    ids=" ".join,
)
@pytest.mark.parametrize("files", [6, 12, 20])
def test_without_free_file_descriptors_there_is_no_verdict(
    words: list[str], files: int, tmp_path: Path
) -> None:
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))
    done = verify(words, tmp_path, before=limit)
    assert done.returncode in ((0, 2) if files > 6 else (2,)), done.stderr
    if done.returncode == 2:
        assert done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"TMPDIR": "/nowhere"},
        {"TMPDIR": "/dev/null"},
        {"HOME": "/nowhere"},
        {"HOME": "/dev/null"},
        {"HOME": ""},
    ],
    ids=str,
)
def test_folders_that_are_not_there_are_no_violation(environment: dict[str, str], tmp_path: Path) -> None:
    words = ["machine", "--examples", "2", "--steps", "2"]
    done = verify(words, tmp_path, env={**os.environ, **environment})
    assert done.returncode in (0, 2), (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr


def test_a_machine_without_a_network_is_no_violation(tmp_path: Path) -> None:
    alone = ["unshare", "--net", sys.executable]
    if subprocess.run([*alone, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("a network namespace of its own cannot be made here")
    for words in (["explore", "--scenario", "different-keys"], ["stress", "--rounds", "1"], ["faults"]):
        done = subprocess.run(
            [*alone, "-m", "payments_verify", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert "internal error" not in done.stderr
        assert "payments-verify: " in done.stderr


@pytest.mark.parametrize(
    ("program", "package", "command", "what_to_do"),
    [
        ("payments_verify", "typer", "--help", TO_VERIFY),
        ("payments_verify", "sqlglot", "explore", TO_VERIFY),
        ("lab", "typer", "--help", "`make sync` installs it."),
        ("lab", "sqlglot", "static", "`make sync` installs it."),
    ],
)
def test_where_a_package_is_not_installed_it_says_what_to_install(
    program: str, package: str, command: str, what_to_do: str, tmp_path: Path
) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; from {program}.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert f"{package} is not installed. {what_to_do}\n" in done.stderr
    assert "internal error" not in done.stderr


def test_a_command_that_cannot_be_imported_is_no_violation(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ImportError('half installed')")
    done = verify(["history", str(BAD)], tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 2
    assert "internal error, no verdict: ImportError: half installed" in done.stderr
