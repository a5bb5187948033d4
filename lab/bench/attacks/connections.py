"""Attacks by connections: some that send little, some that do not read, some that only stay."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress

from lab.bench.attacks.attack import Target, Told

_TURN_S = 0.2


def unread(target: Target, told: Told) -> None:
    """257 connections that ask for the contract again and again, and read nothing."""
    _hold(target, told, 257, _get("/openapi.json") * 16)


def idle(target: Target, told: Told) -> None:
    """200 connections that send nothing."""
    _hold(target, told, 200, b"")


def many_idle(target: Target, told: Told) -> None:
    """2,000 connections that send nothing."""
    _hold(target, told, 2_000, b"")


def many_begun(target: Target, told: Told) -> None:
    """2,000 connections that send one byte."""
    _hold(target, told, 2_000, b"G")


def slow_heads(target: Target, told: Told) -> None:
    """300 connections that send a head, a byte at a time."""
    _hold(target, told, 300, b"GET /healthz HTTP/1.1\r\nX: ", b"x")


def slow_bodies(target: Target, told: Told) -> None:
    """300 clients with a token that send a head, and of the body a byte at a time."""
    fields = f"Authorization: Bearer {target.token}\r\nContent-Type: application/json\r\nContent-Length: 9999"
    _hold(target, told, 300, f"POST /payments HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n\r\n".encode(), b" ")


def flood(target: Target, told: Told) -> None:
    """Four connections that send requests as fast as they are taken in, and read nothing."""
    _hold(target, told, 4, _get("/healthz") * 4_000)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def _hold(target: Target, told: Told, count: int, begin: bytes, more: bytes = b"") -> None:
    """Keep so many connections open, and open another for each that is closed."""
    with selectors.DefaultSelector() as waiting:
        for _ in range(count):
            _open(target, waiting, begin)
        told.is_under_way()
        try:
            while not told.is_over(_TURN_S):
                for lost in list(_lost(waiting, more)):
                    waiting.unregister(lost)
                    lost.close()
                    _open(target, waiting, begin)
        finally:
            for key in list(waiting.get_map().values()):
                _socket(key).close()


def _open(target: Target, waiting: selectors.BaseSelector, begin: bytes) -> None:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    made.settimeout(0.5)
    with suppress(OSError):
        made.connect(("127.0.0.1", target.port))
        made.sendall(begin)
    made.setblocking(False)
    waiting.register(made, selectors.EVENT_READ)


def _lost(waiting: selectors.BaseSelector, more: bytes) -> Iterator[socket.socket]:
    """Those that the service has closed; the others send more."""
    for key in list(waiting.get_map().values()):
        held = _socket(key)
        try:
            if more:
                held.send(more)
            # What was sent to it stays where it is, but for the end.
            if held.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != _ESTABLISHED:
                yield held
        except BlockingIOError:
            continue
        except OSError:
            yield held


_ESTABLISHED = b"\x01"


def _socket(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj
