"""Lines of the log wait for each other, not long, in order, and never for ever."""

from __future__ import annotations

import asyncio
import io
import select
import subprocess
import sys

import pytest

from payments_core.entrypoints.lines import LATE_S, Lines


class Recorder(io.BytesIO):
    """Standard error, each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    @property
    def buffer(self) -> Recorder:
        return self

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        self.writes.append(data)
        return len(data)


def record(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Called by the test itself: between its fixtures and it, pytest puts its own there."""
    recorder = Recorder()
    monkeypatch.setattr(sys, "stderr", recorder)
    return recorder


def test_lines_that_come_together_are_one_write_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)

    async def tell() -> None:
        lines = Lines()
        lines.info(b"one")
        lines.debug(b"two")
        await asyncio.sleep(0)
        lines.info(b"three")
        assert error.writes == []
        await asyncio.sleep(3 * LATE_S)
        assert error.writes == [b"one\ntwo\nthree\n"]
        lines.info(b"four")
        await asyncio.sleep(3 * LATE_S)
        assert error.writes[1:] == [b"four\n"]

    asyncio.run(tell())


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_what_is_wrong_is_told_at_once_and_in_its_place(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    error = record(monkeypatch)

    async def tell() -> None:
        lines = Lines()
        lines.info(b"before")
        getattr(lines, level)(b"wrong")
        assert error.writes == [b"before\nwrong\n"]
        lines.info(b"after")
        await asyncio.sleep(3 * LATE_S)
        assert error.writes[1:] == [b"after\n"]

    asyncio.run(tell())


def test_without_a_loop_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()
    lines.info(b"one")
    lines.info(b"two")
    assert error.writes == [b"one\n", b"two\n"]


def test_what_a_loop_left_comes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()

    async def tell(line: bytes, wait: float) -> None:
        lines.info(line)
        await asyncio.sleep(wait)

    asyncio.run(tell(b"left", 0))
    assert error.writes == []
    asyncio.run(tell(b"next", 3 * LATE_S))
    assert error.writes == [b"left\nnext\n"]


def test_no_write_is_more_than_a_pipe_takes_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    told = [b"%04d" % number + b"." * (number % 400) for number in range(500)]
    told.insert(250, b"x" * (select.PIPE_BUF + 1))

    async def tell() -> None:
        lines = Lines()
        for line in told:
            lines.info(line)
        await asyncio.sleep(3 * LATE_S)

    asyncio.run(tell())
    assert b"".join(error.writes) == b"".join(line + b"\n" for line in told)
    long = [write for write in error.writes if len(write) > select.PIPE_BUF]
    assert long == [told[250] + b"\n"]
    assert len(error.writes) < 50


def test_the_end_of_the_process_writes_what_waits() -> None:
    told = """
import asyncio
from payments_core.entrypoints.lines import Lines
async def tell():
    Lines().info(b"the last words")
asyncio.run(tell())
"""
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, timeout=60, check=True)
    assert ended.stderr == b"the last words\n"
