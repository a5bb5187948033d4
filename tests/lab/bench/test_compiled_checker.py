"""The comparison with the compiled checker: what it needs, and what it makes of what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.bench import bench_checker, compiled_checker
from lab.bench.compiled_checker import CompiledCheckerError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that has what porcupine's has, and nothing in it."""
    folder = tmp_path / "source"
    for each in ("test_data/kv", "test_data/jepsen", "visualization"):
        (folder / each).mkdir(parents=True)
    (folder / "go.mod").write_text("module example\n")
    (folder / "test_data/jepsen/etcd_095.log").write_text("")
    history = '{:process 0, :type :%s, :f :append, :key "a", :value "x"}\n'
    (folder / "test_data/kv/c01-ok.txt").write_text(history % "invoke" + history % "ok")
    return folder


def program(folder: Path, *, linearizable: bool, code: int = 0) -> Path:
    found = f'"linearizable": {str(linearizable).lower()}, "read": 1000000, "check": 500000'
    told = f'{{"file": "\'$file\'", {found}}}'
    path = folder / "checker"
    path.write_text(f"#!/bin/sh\nwhile read file; do echo 'checked {told}'; done; echo PASS; exit {code}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("is_there", "message"),
    [(False, "is not the source of porcupine"), (True, "Go is not installed")],
)
def test_what_is_missing_is_said(
    source: Path,
    *,
    is_there: bool,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PORCUPINE", str(source if is_there else source / "nowhere"))
    monkeypatch.setenv("PATH", "")
    assert bench_checker.main([]) == 2
    assert message in capsys.readouterr().out


def test_an_empty_log_is_no_history(source: Path) -> None:
    assert [path.name for path in compiled_checker.histories(source)] == ["c01-ok.txt"]


def test_both_checkers_times_are_told_with_their_ratio(source: Path, tmp_path: Path) -> None:
    known = dict.fromkeys(compiled_checker.histories(source))
    figures = bench_checker.measure(known, program(tmp_path, linearizable=True), rounds=2)
    found = figures["kv c01-ok"]
    assert found.compiled == 1.5
    assert found.ratio == pytest.approx(found.total / 1.5)
    text, _ = bench_checker.verdict_on(figures)
    assert text == f"at most {found.ratio:.2f} times porcupine; the limit is 3"


def test_checkers_that_differ_are_not_compared(source: Path, tmp_path: Path) -> None:
    known = dict.fromkeys(compiled_checker.histories(source))
    with pytest.raises(ValueError, match="linearizable is True here, and False there"):
        bench_checker.measure(known, program(tmp_path, linearizable=False), rounds=1)


def test_a_compiled_checker_that_fails_is_told(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CompiledCheckerError, match="porcupine ended with 3"):
        compiled_checker.run(program(tmp_path, linearizable=True, code=3), [source])
