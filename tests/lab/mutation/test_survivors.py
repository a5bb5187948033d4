"""What a session of generated mutants says: survivors are told by what they change, and argued away by it."""

from __future__ import annotations

import ast
import importlib
import json
import tomllib
from pathlib import Path
from types import UnionType
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from lab.mutation import __main__ as command
from lab.mutation.survivors import Change, Session, argued, change_in, judged, summed_up

ROOT = Path(__file__).parents[3]
LISTED = ROOT / "lab" / "mutation" / "survivors.toml"
DIFF = """--- mutation diff ---
--- amodel/payments_model/capture.py
+++ bmodel/payments_model/capture.py
@@ -1,3 +1,3 @@
 def capture() -> None:
-    if now >= end:
+    if now > end:
         return
"""
CHANGE = Change("model/payments_model/capture.py", "if now >= end:", "if now > end:", 12)
FAILED = (
    "F\nshort test summary info\nFAILED tests/model/test_capture.py::test_late - assert 1\n1 failed in 0.1s\n"
)


def line(outcome: str | None, worker: str = "normal", output: str = FAILED) -> str:
    item = {"mutations": [{"module_path": CHANGE.module, "start_pos": [12, 8]}]}
    result: Any = {"worker_outcome": worker, "test_outcome": outcome, "output": output, "diff": DIFF}
    return json.dumps([item, None if worker == "waiting" else result])


def test_a_session_is_summed_up() -> None:
    found = summed_up([line("killed"), line("survived"), line(None, "skipped"), line(None, "waiting")])
    assert found == Session(1, 1, 1, [CHANGE], [])


@pytest.mark.parametrize(
    ("outcome", "output"),
    [
        ("incompetent", "Traceback"),
        ("killed", "timeout"),
        ("killed", "ERROR: file or directory not found: tests/model/test_capture.py"),
        ("killed", ""),
    ],
)
def test_only_a_test_that_fails_has_noticed(outcome: str, output: str) -> None:
    found = summed_up([line(outcome, output=output)])
    assert found == Session(0, 0, 0, [], [f"{CHANGE.module}: normal, {outcome}: {output}"])
    assert judged(found, {}).exit_code == 2


def test_a_test_file_that_cannot_be_imported_has_noticed() -> None:
    assert (
        summed_up([line("killed", output="ERROR tests/model/test_capture.py - ValueError: 1\n")]).killed == 1
    )


@pytest.mark.parametrize(
    ("found", "reasons", "unargued", "stale", "exit_code"),
    [
        (Session(1, 1, 0, [], []), {}, [], [], 0),
        (Session(1, 0, 0, [CHANGE], []), {}, [CHANGE], [], 1),
        (Session(1, 0, 0, [CHANGE], []), {CHANGE: "equal"}, [], [], 0),
        (Session(1, 0, 0, [CHANGE, CHANGE], []), {CHANGE: "equal"}, [CHANGE], [], 1),
        (Session(1, 0, 0, [], []), {CHANGE: "equal"}, [], [CHANGE], 1),
        (Session(1, 0, 1, [], []), {CHANGE: "equal"}, [], [], 2),
        (Session(1, 0, 1, [CHANGE], []), {}, [CHANGE], [], 1),
        (Session(1, 0, 1, [], []), {}, [], [], 2),
        (Session(1, 0, 0, [], ["timeout"]), {}, [], [], 2),
    ],
    ids=[
        "all noticed",
        "one survives",
        "argued away",
        "the same change at two places, argued once",
        "argued away and noticed",
        "argued away and perhaps not tried",
        "one survives, others are not tried",
        "not all tried",
        "one could not be tried",
    ],
)
def test_every_mutant_is_noticed_or_argued_away_or_the_session_fails(
    found: Session,
    reasons: dict[Change, str],
    unargued: list[Change],
    stale: list[Change],
    exit_code: int,
) -> None:
    verdict = judged(found, reasons)
    assert (verdict.unargued, verdict.stale, verdict.exit_code) == (unargued, stale, exit_code)


@pytest.mark.parametrize(
    ("outcome", "exit_code", "said"),
    [
        ("killed", 0, "1 noticed, 0 argued away, 0 survive, 0 left out by their operator, 0 not tried yet"),
        ("survived", 1, f"survives: {CHANGE.module}:12\n    - if now >= end:\n    + if now > end:\n"),
        ("incompetent", 2, f"could not be tried: {CHANGE.module}"),
    ],
)
def test_the_command_ends_as_it_says(
    outcome: str, exit_code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "tried", lambda *_, **__: [line(outcome)])
    survivors = tmp_path / "survivors.toml"
    survivors.touch()
    app = typer.Typer()
    app.command()(command.main)
    ended = CliRunner().invoke(app, ["--survivors", str(survivors)])
    assert ended.exit_code == exit_code
    assert said in ended.output


def test_a_change_of_several_lines_is_one() -> None:
    diff = DIFF.replace("-    if now >= end:", "-    if (now\n-        >= end):")
    assert change_in("m", diff, 1) == Change("m", "if (now >= end):", "if now > end:")


def test_a_survivor_without_a_reason_is_not_argued_away(tmp_path: Path) -> None:
    path = tmp_path / "survivors.toml"
    entry = '[[survivor]]\nmodule = "m"\nwas = "a"\nbecomes = "b"\nwhy = "{}"\n'
    path.write_text(entry.format("it is the same"))
    assert argued(path) == {Change("m", "a", "b"): "it is the same"}
    path.write_text(entry.format(" "))
    with pytest.raises(ValueError, match="no reason is given for 'a'"):
        argued(path)
    path.write_text(entry.replace("why", "because").format("x"))
    with pytest.raises(msgspec.ValidationError, match="because"):
        argued(path)


def test_bars_join_types_alone_as_the_operators_that_are_left_out_suppose() -> None:
    config = tomllib.loads((LISTED.with_name("mutation.toml")).read_text())["cosmic-ray"]
    joined = 0
    for folder in map(Path, config["module-path"]):
        for path in (ROOT / folder).rglob("*.py"):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts[1:]))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                    value = eval(ast.unparse(node), vars(module))
                    assert isinstance(value, UnionType), f"{path}:{node.lineno}: {ast.unparse(node)}"
                    joined += 1
    assert joined > 20


def test_what_is_argued_away_stands_in_the_code() -> None:
    for change in argued(LISTED):
        source = " ".join((ROOT / change.module).read_text().split())
        assert " ".join(change.was.split()) in source, change
