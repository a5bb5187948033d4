"""The server as an operating-system process: launch, wait until ready, end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pgweave.embedded.binaries import server_environment
from pgweave.embedded.folder import ServerFolder
from pgweave.loopback import HOST

StopMode = Literal["fast", "immediate"]

_STOP_LIMIT_S = 60.0

# The shell becomes the server, so that its process id and exit status are the server's. The watchdog is
# detached (a grandchild), because the server would take the end of a child it does not know for a crash. A
# line on the pipe means "stopped in order"; the pipe's end without one means that our process is gone.
_WATCHED = 'exec 3<&0; ( ( read -r _ <&3 || kill -INT $$ ) 2>/dev/null & ); exec "$@" 3<&- </dev/null'


def listening(port: int, socket_folder: Path) -> dict[str, str]:
    """The settings that say where the server listens: loopback, and a socket private to its account."""
    return {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": str(socket_folder),
        "unix_socket_permissions": "0700",
    }


def launch(folder: ServerFolder, bin_dir: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the server, with its watchdog, as the folder's account.

    The returned process' standard input is the pipe that the watchdog watches.
    """
    server = [str(bin_dir / "postgres"), "-D", str(folder.data)]
    server += [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    account = folder.account
    log = folder.open_log()
    try:
        return subprocess.Popen(  # noqa: S603 - found programs, no user's text
            ["/bin/sh", "-c", _WATCHED, "sh", *server],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder.path,
            env=server_environment(),
            start_new_session=True,  # the terminal's Ctrl-C is for us; we then stop the server in order
            user=account.uid if account.switch else None,
            group=account.gid if account.switch else None,
            extra_groups=[] if account.switch else None,
        )
    finally:
        os.close(log)


def await_ready(process: subprocess.Popen[bytes], folder: ServerFolder, limit_s: float) -> str | None:
    """Wait until the server accepts connections: None, or what went wrong."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"ended with status {process.returncode} instead of starting"
        if folder.postmaster() == (process.pid, True):
            return None
        time.sleep(0.01)
    return f"was not ready within {limit_s:g} s"


def end(process: subprocess.Popen[bytes], mode: StopMode) -> None:
    """Shut the server down, harder each time it does not end within a minute: SIGINT, SIGQUIT, SIGKILL."""
    signals = [signal.SIGQUIT, signal.SIGKILL]
    for stop in [signal.SIGINT, *signals] if mode == "fast" else signals:
        process.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_LIMIT_S)
            break
    _dismiss_watchdog(process)


def _dismiss_watchdog(process: subprocess.Popen[bytes]) -> None:
    """Tell it that the server has stopped in order, so that it signals nobody."""
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(b"\n")
