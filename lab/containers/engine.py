"""Docker's engine: the one that answers, or one of our own for as long as a block runs."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.steps import Shell, UnableError

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 60.0
_LINKS = Path("/sys/class/net")
_FOLDERS = Path("/tmp")
_PREFIX = "payments-core-docker-"
_LOCK, _BRIDGES = "lock", "bridges"
_GOES_WITH_US = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""If this process is killed, the engine, its containers and what they mounted go, too."""


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    Attributes:
        name: which one it is, for people.
        bridge: what the network of a composition has to be called; ``None`` if that is the engine's to say.
    """

    name: str
    bridge: str | None = None


@contextmanager
def engine(shell: Shell) -> Iterator[Engine]:
    """Let the shell's programs reach an engine.

    One of our own has its images, its socket and its state in a temporary folder, which goes with it. What an
    earlier one could not remove, because it was killed, is removed first.

    Raises:
        UnableError: none answers, and none can be started within a minute.
    """
    if shutil.which("docker") is None:
        raise UnableError("docker is not installed")
    version = _version(shell)
    if version is not None:
        yield Engine(f"Docker {version}")
        return
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None or os.geteuid() != 0:
        why = "dockerd is not installed" if program is None else "only root can start dockerd"
        raise UnableError(f"Docker's engine does not answer, and {why}")
    remove_left_behind(shell)
    with own_folder(shell) as folder, _started(program, folder, shell) as name:
        yield Engine(name, _bridge(folder))


@contextmanager
def own_folder(shell: Shell) -> Iterator[Path]:
    """A folder for an engine of our own, locked while we live; it goes with the bridges that it names."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_FOLDERS))
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Docker's own bridge is ours if there is none yet.
        makes = {"docker0"} - {each.name for each in _LINKS.iterdir()}
        (folder / _BRIDGES).write_text("\n".join([_bridge(folder), *makes]))
        try:
            yield folder
        finally:
            _remove(folder, shell)


def remove_left_behind(shell: Shell) -> None:
    """Remove the folders and bridges of engines whose run was killed."""
    for folder in _FOLDERS.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / _LOCK).open() as lock:  # without one it is being made
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run lives
            _remove(folder, shell)


def _bridge(folder: Path) -> str:
    """The name of the bridge of an engine's composition: of at most 15 characters, as of every link."""
    return f"pcore-{folder.name.removeprefix(_PREFIX)}"


def _remove(folder: Path, shell: Shell) -> None:
    with suppress(OSError):
        for bridge in (folder / _BRIDGES).read_text().split():
            connected = _LINKS / bridge / "brif"
            if connected.is_dir() and not any(connected.iterdir()):
                shell.ask("ip", "link", "delete", bridge)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(program: str, folder: Path, shell: Shell) -> Iterator[str]:
    socket = f"unix://{folder / 'docker.sock'}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *_GOES_WITH_US,
                program,
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
        _stop(process)
        del shell.environment["DOCKER_HOST"]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the engine stop its containers and end; one that hangs is killed with them."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError):  # it has ended
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGTERM)  # not to `unshare`, which holds it back
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
