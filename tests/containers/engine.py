"""Docker's engine: the one that answers, or one of our own for as long as a block runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.steps import Shell, UnableError

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 60.0
_BRIDGE = Path("/sys/class/net/docker0")


@contextmanager
def engine(shell: Shell) -> Iterator[str]:
    """Let the shell's programs reach an engine; yields which one.

    One of our own has its images, its socket and its state in a temporary folder, which goes with it.

    Raises:
        UnableError: none answers, and none can be started within a minute.
    """
    if shutil.which("docker") is None:
        raise UnableError("docker is not installed")
    version = _version(shell)
    if version is not None:
        yield f"Docker {version}"
        return
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None or os.geteuid() != 0:
        why = "dockerd is not installed" if program is None else "only root can start dockerd"
        raise UnableError(f"Docker's engine does not answer, and {why}")
    folder = Path(tempfile.mkdtemp(prefix="payments-core-docker-", dir="/tmp"))
    try:
        with _started(program, folder, shell) as own:
            yield own
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(program: str, folder: Path, shell: Shell) -> Iterator[str]:
    socket = f"unix://{folder / 'docker.sock'}"
    had_bridge = _BRIDGE.exists()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private", program),  # what it mounts goes with it
                *_network_options(shell),
                *("--host", socket),
                *("--data-root", str(folder / "data")),
                *("--exec-root", str(folder / "exec")),
                *("--pidfile", str(folder / "pid")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    shell.environment["DOCKER_HOST"] = socket
    try:
        until = time.monotonic() + _START_LIMIT_S
        while (version := _version(shell)) is None:
            if process.poll() is not None or time.monotonic() > until:
                said = "\n".join((folder / "log").read_text(errors="replace").splitlines()[-8:])
                raise UnableError(f"Docker's engine cannot be started here; dockerd said:\n{said}")
            time.sleep(0.2)
        driver = shell.do("docker", "info", "--format", "{{.Driver}}").strip()
        yield f"Docker {version}, started for this run, storage driver {driver}"
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if not had_bridge and _BRIDGE.exists():
            shell.ask("ip", "link", "delete", _BRIDGE.name)
        del shell.environment["DOCKER_HOST"]


def _network_options(shell: Shell) -> tuple[str, ...]:
    """What leaves the rules of the machine's network as they are.

    Containers of one composition reach each other without rules, unless the machine's own forbid it, and
    docker-proxy passes on what is published.
    """
    if "-P FORWARD DROP" in shell.ask("iptables", "-S", "FORWARD").stdout:
        return ()
    return ("--iptables=false", "--ip-forward=false", "--ip-masq=false")


def _version(shell: Shell) -> str | None:
    answered = shell.ask("docker", "version", "--format", "{{.Server.Version}}")
    return answered.stdout.strip() if answered.returncode == 0 else None
