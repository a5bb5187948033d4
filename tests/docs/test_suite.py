"""The suite itself: a test that hangs is a test that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pytest_runs import run_pytest

ROOT = Path(__file__).parents[2]


def test_a_test_that_hangs_fails(
    tmp_path: Path, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")  # said to the run around this one
    assert 0 < float(pytestconfig.getini("timeout")) <= 600
    (tmp_path / "test_hangs.py").write_text("import time\n\ndef test_hangs():\n    time.sleep(100)\n")
    arguments = ("-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-o", "timeout=1")
    done = run_pytest(*arguments, tmp_path, cwd=ROOT)
    assert done.returncode == 1, done.stdout
    assert "Failed: Timeout (>1.0s)" in done.stdout
