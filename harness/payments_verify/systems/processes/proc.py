"""What Linux tells of processes: which run, who has started them, and which sockets they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_STOPPED = "T"
_LISTENS = "0A"
_OWN, _OTHER, _STATE, _INODE = 1, 2, 3, 9


def workers(parent: int) -> set[int]:
    """The processes that a server has started to serve."""
    return {pid for pid in _children(parent) if b"spawn_main" in _read(pid, "cmdline") and runs(pid)}


def runs(pid: int) -> bool:
    """Whether there is such a process; one that nobody has asked for since it ended is none."""
    return _status(pid)[:1] not in ([], ["Z"])


def is_stopped(pid: int) -> bool:
    """Whether there is such a process, and it was stopped by a signal."""
    return _status(pid)[:1] == [_STOPPED]


def has_connection(pid: int, client_port: int) -> bool:
    """Whether a process has a TCP connection (IPv4) from a port of this machine."""
    return _has_socket(pid, lambda _own, other, state: other == client_port and state != _LISTENS)


def listens(pid: int, port: int) -> bool:
    """Whether a process listens at a TCP port (IPv4)."""
    return _has_socket(pid, lambda own, _other, state: own == port and state == _LISTENS)


def _has_socket(pid: int, is_meant: Callable[[int, int, str], bool]) -> bool:
    """Whether a process has a socket of these: by its own port, that of its other end, and its state."""
    meant = {
        f"socket:[{fields[_INODE]}]"
        for fields in map(str.split, _read(pid, "net/tcp").decode().splitlines()[1:])
        if is_meant(_port(fields[_OWN]), _port(fields[_OTHER]), fields[_STATE])
    }
    with suppress(OSError):
        for each in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                if str(each.readlink()) in meant:
                    return True
    return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _children(parent: int) -> Iterator[int]:
    for each in _PROC.glob("[0-9]*"):
        pid = int(each.name)
        if _status(pid)[1:2] == [str(parent)]:
            yield pid


def _status(pid: int) -> list[str]:
    """The state of a process, and its parent; nothing if there is none."""
    return _read(pid, "stat").rpartition(b")")[2].decode().split()[:2]


def _read(pid: int, what: str) -> bytes:
    with suppress(OSError):
        return (_PROC / str(pid) / what).read_bytes()
    return b""
