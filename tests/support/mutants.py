"""Broken copies of the implementation and of the model, to see that the harness notices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import payments_core
import payments_model
from lab.mutants.catalogue import load
from lab.mutants.edit import Edit

__all__ = ["CATALOGUE", "Edit", "mutated_copy", "mutated_model", "run_harness"]

CATALOGUE = load(Path(__file__).parents[2] / "lab" / "mutants" / "bugs")
"""The bugs that `make mutants` looks for."""

_RUN_LIMIT_S = 240


def mutated_copy(folder: Path, edits: Sequence[Edit], package: ModuleType = payments_core) -> Path:
    """A copy of ``package`` in ``folder`` with the edits applied; for ``PYTHONPATH``."""
    _copy(package, folder / package.__name__, edits)
    return folder


def mutated_model(folder: Path, edits: Sequence[Edit], name: str) -> Path:
    """A copy of ``payments_model`` in ``folder`` under another name, for use beside the real one."""
    copy = folder / name
    _copy(payments_model, copy, edits)
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text().replace(payments_model.__name__, name))
    return folder


def _copy(package: ModuleType, target: Path, edits: Sequence[Edit]) -> None:
    source = Path(str(package.__file__)).parent
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        edit.apply(target)


def run_harness(
    mutant: Path, arguments: Sequence[str], limit_s: float = _RUN_LIMIT_S, program: str = "payments_verify"
) -> subprocess.CompletedProcess[str]:
    """Run the harness, or the lab, against the mutant: its own process, and every process that it starts."""
    environment: Mapping[str, str] = {**os.environ, "PYTHONPATH": str(mutant), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", program, *arguments],
        capture_output=True,
        text=True,
        timeout=limit_s,
        env=environment,
        check=False,
    )
