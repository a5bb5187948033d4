"""A program that stands between a client and a server, as its own process."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

_LIMIT_S = 30.0


@contextmanager
def listening(
    command: Sequence[str],
    port: int,
    *,
    variables: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
) -> Iterator[None]:
    """The program runs, and listens at the port of the loopback, for as long as the block does.

    Args:
        command: the program and its arguments.
        port: where it is to listen.
        variables: its whole environment; that of this process if not given.
        user: whom it runs as; us if not given.
        group: the group that goes with the user.

    Raises:
        AssertionError: it does not listen within half a minute; with what it printed.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=variables,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
        try:
            if not _listens(process, port):
                log.seek(0)
                raise AssertionError(f"{command[0]} did not start:\n{log.read().decode(errors='replace')}")
            yield
        finally:
            process.terminate()
            process.wait(_LIMIT_S)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    until = time.monotonic() + _LIMIT_S
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        time.sleep(0.02)
    return False
