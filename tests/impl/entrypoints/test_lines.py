"""Lines of the log are written at once, or together with others, in order and never torn."""

from __future__ import annotations

import io
import select
import sys
import threading

import pytest

from payments_core.entrypoints.lines import Lines


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


def test_a_line_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()
    for number, level in enumerate(("debug", "info", "warning", "error", "critical"), 1):
        getattr(lines, level)(level.encode())
        assert error.writes[number - 1 :] == [level.encode() + b"\n"]


def test_lines_that_are_told_together_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()
    with lines.together():
        for line in (b"one", b"two"):
            lines.info(line)
        assert error.writes == []
    assert error.writes == [b"one\ntwo\n"]
    with lines.together():
        pass
    lines.info(b"three")
    assert error.writes[1:] == [b"three\n"]


def test_what_was_told_before_an_error_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()

    def fail() -> None:
        with lines.together():
            lines.info(b"before")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    lines.info(b"after")
    assert error.writes == [b"before\n", b"after\n"]


def test_no_write_is_more_than_a_pipe_takes_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    told = [b"%04d" % number + b"." * (number % 400) for number in range(500)]
    told.insert(250, b"x" * (select.PIPE_BUF + 1))
    told.insert(100, b"y" * (select.PIPE_BUF - 1))
    lines = Lines()
    with lines.together():
        for line in told:
            lines.info(line)
    assert b"".join(error.writes) == b"".join(line + b"\n" for line in told)
    assert [write for write in error.writes if len(write) > select.PIPE_BUF] == [
        b"x" * (select.PIPE_BUF + 1) + b"\n"
    ]
    assert len(error.writes) < 50


def test_threads_lose_no_line_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    error = record(monkeypatch)
    lines = Lines()
    told = [[b"%d %d" % (thread, number) for number in range(5_000)] for thread in range(4)]

    def tell(mine: list[bytes]) -> None:
        for line in mine:
            lines.info(line)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=tell, args=[mine]) for mine in told]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    written = b"".join(error.writes).splitlines()
    assert [[line for line in written if line.startswith(b"%d " % thread)] for thread in range(4)] == told


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("I/O on closed file")])
def test_lines_that_cannot_be_written_stop_nobody(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(Recorder):
        def write(self, data: object) -> int:
            super().write(data)
            raise error

    full = Full()
    monkeypatch.setattr(sys, "stderr", full)
    lines = Lines()
    lines.info(b"lost")
    with lines.together():
        lines.info(b"lost too")
    assert full.writes == [b"lost\n", b"lost too\n"]
    again = record(monkeypatch)
    lines.info(b"heard")
    assert again.writes == [b"heard\n"]
