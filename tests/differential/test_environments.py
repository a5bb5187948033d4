"""Commands of the harness where the environment misleads whoever speaks HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import hostile_environment

CLI = f"{sys.executable} -m payments_core"
SERVE = f"{CLI} migrate && exec {CLI} serve --port $PORT"
COMMANDS = {
    "machine": ["machine", "--system", "server", "--examples", "2", "--steps", "5"],
    "conformance": ["conformance", "--command", SERVE, "--quick", "--level", "1"],
    "explore": ["explore", "--scenario", "one-capture", "--command", SERVE],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_environment_changes_nothing_of_what_is_examined(command: str, tmp_path: Path) -> None:
    with hostile_environment.listening_proxy() as (proxy, heard):
        hostile = hostile_environment.all_variables(proxy, tmp_path)
        done = subprocess.run(
            [sys.executable, "-m", "payments_verify", *COMMANDS[command]],
            env={
                **os.environ,
                **hostile,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert heard == []
