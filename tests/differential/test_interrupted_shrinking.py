"""Ctrl-C while a mismatch is made smaller, at any moment: the mismatch is told, and the exit code is 1."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

SCRIPT = ROOT / "tests" / "support" / "interrupted_shrinking.py"
SAMPLES = 8


@pytest.mark.long
@pytest.mark.parametrize("command", ["machine", "verify", "conformance", "practice", "false-alarms"])
def test_a_mismatch_is_told_whenever_its_shrinking_is_interrupted(command: str, tmp_path: Path) -> None:
    seed = secrets.randbelow(1_000_000)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), command, str(SAMPLES), str(seed), str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(samples) == SAMPLES
    assert any("interrupted" in each["complained"] for each in samples), samples
    for each in samples:
        assert each["code"] == 1, f"seed {seed}: {each}"
        assert "violated" in each["told"], f"seed {seed}: {each}"
        assert "capture" in each["told"], f"seed {seed}: {each}"
