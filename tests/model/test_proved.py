"""What was proved is remembered of the same sources alone, and nothing else is."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from payments_verify.model_checks import contracts, equivalence, proved
from payments_verify.model_checks.proved import Proved, sources_of
from payments_verify.model_checks.workers import Job, OnFinding

RIGHT = """
from icontract import ensure
from {package} import limits
@ensure(lambda result: result >= 0, "I1: is not negative")
def floor(number: int) -> int:
    return number if number > limits.LOWEST else limits.LOWEST
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = f"floors_{time.monotonic_ns()}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "limits.py").write_text("LOWEST = 0\n")
    (folder / "floor.py").write_text(RIGHT.format(package=name))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield name
    for module in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[module]


def check(package: str, tmp_path: Path, *, again: bool = False) -> tuple[str, int]:
    memory = Proved(tmp_path / "memory", again=again)
    found = contracts.check_contracts(package, proved=memory, seconds=20)
    return found.verdict, found.details["proved_before"]


def test_what_is_proved_is_not_proved_twice(package: str, tmp_path: Path) -> None:
    assert check(package, tmp_path) == ("holds", 0)
    assert check(package, tmp_path) == ("holds", 1)
    assert check(package, tmp_path, again=True) == ("holds", 0)
    told = contracts.check_contracts(package, proved=Proved(tmp_path / "memory"), seconds=20)
    assert told.line == "holds (1 of 1 proved before, of the same sources)"
    # A module that is imported decides too.
    (tmp_path / package / "limits.py").write_text("LOWEST = -1\n")
    assert check(package, tmp_path) == ("violated", 0)
    assert check(package, tmp_path) == ("violated", 0)


def test_nothing_is_remembered_where_nothing_can_be_written(package: str, tmp_path: Path) -> None:
    (tmp_path / "memory").write_text("a file")
    assert check(package, tmp_path) == ("holds", 0)
    assert check(package, tmp_path) == ("holds", 0)


def test_a_user_without_a_home_has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert proved.default_folder() is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"findings": 1'])
def test_a_file_that_says_nothing_is_not_believed(content: str, package: str, tmp_path: Path) -> None:
    assert check(package, tmp_path) == ("holds", 0)
    (file,) = (tmp_path / "memory").iterdir()
    assert json.loads(file.read_text())["question"][1] == f"{package}.floor.floor"
    file.write_text(content)
    assert check(package, tmp_path) == ("holds", 0)
    assert check(package, tmp_path) == ("holds", 1)


def test_what_nobody_used_for_long_goes(package: str, tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    old = tmp_path / "memory" / "old.json"
    old.write_text("{}")
    os.utime(old, (0, 0))
    check(package, tmp_path)
    assert not old.exists()


def test_an_end_before_the_end_proves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"paths": 3, "exhausted": True, "differences": []}

    def run_jobs(jobs: Sequence[Job], take: OnFinding, _parallel: int | None) -> dict[Job, str]:
        for job in jobs:
            take(job, dict(answers))
        return dict.fromkeys(jobs, "stopped after 1 s")

    monkeypatch.setattr(proved, "run_jobs", run_jobs)
    memory = Proved(tmp_path)
    job = Job(("compare", "payments_model.capture.capture", "payments_model.capture.capture", "1.0"), 1.0)
    found: list[Any] = []
    for _ in range(2):
        memory.run_jobs([job], lambda *finding: found.append(finding), lambda _: True)
    assert (memory.used, len(found)) == (0, 2)


def test_the_bridge_depends_on_the_model_and_on_the_domain() -> None:
    found = sources_of(equivalence.BRIDGE)
    assert {"payments_model.capture", "payments_core.domain.capture", equivalence.BRIDGE} <= set(found)
    assert not any(name.startswith("payments_core.infrastructure") for name in found)
    assert all(file.suffix == ".py" for file in found.values())
