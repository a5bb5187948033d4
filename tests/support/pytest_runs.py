"""pytest in a process of its own, which hears nothing of the run that starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def environment(**variables: str) -> dict[str, str]:
    """This process' environment without what it says to pytest, `PYTEST_ADDOPTS` for one, and with these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | variables


def run_pytest(
    *arguments: str | Path, cwd: Path, limit_s: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder to its end, without its cache.

    Args:
        arguments: what it is told.
        cwd: the folder.
        limit_s: how long it may take, in seconds.
        variables: what is added to the environment.
    """
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
