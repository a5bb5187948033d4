"""The check of what clients may take their time for is able to fail, at each limit."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from payments_core.entrypoints import serving
from payments_core.entrypoints.http import protocol
from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.problems import OVERLOADED, on_the_wire
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole.slow_clients import wrong_for_slow_clients


def found() -> str | None:
    with nothing_logged():
        return asyncio.run(wrong_for_slow_clients(""))


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing for long, however busy the machine is: what is late would come in time."""
    for module in ("surface.exchange", "systems.whole.moved_server"):
        monkeypatch.setattr(f"payments_verify.{module}._PATIENCE_S", 0.6)
        monkeypatch.setattr(f"payments_verify.{module}.patient", float)


def test_this_service_keeps_what_it_says() -> None:
    assert found() is None


@pytest.mark.parametrize(
    ("module", "limit", "seconds", "told"),
    [
        (protocol, "_HEAD_LIMIT_S", 8, "a head that comes in time"),
        (protocol, "_HEAD_LIMIT_S", 12, "a head that comes too late"),
        (protocol, "_BODY_LIMIT_S", 28, "a body that comes in time"),
        (protocol, "_BODY_LIMIT_S", 32, "a body that comes too late"),
        (protocol, "_UNREAD_LIMIT_S", 12, "answers that are not read"),
        (protocol, "_ENDING_LIMIT_S", 2.5, "told to end: a client that has begun a head: no answer"),
        (protocol, "_ENDING_LIMIT_S", 0.5, "told to end: a client that has begun a head, and ends it: exp"),
        (serving, "_IDLE_LIMIT_S", 3, "a client that says nothing more: the connection ended"),
        (serving, "_IDLE_LIMIT_S", 7, "a client that says nothing more: the connection is not ended"),
    ],
)
def test_another_time_is_found(
    monkeypatch: pytest.MonkeyPatch, module: Any, limit: str, seconds: float, told: str
) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(module, limit, seconds)
    assert told in (found() or "")


def test_an_end_of_its_own_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    made = partial(Config, limit_max_requests=100_000)
    monkeypatch.setattr("uvicorn.Config", made)
    assert "I9: a process that has served 1000000000 requests" in (found() or "")


def begins_anew(self: protocol.BoundedProtocol, data: bytes) -> None:
    """Each part that comes has the time of all of them."""
    was, ending = self._message_bytes > 0, self._is_ending
    _receive(self, data)
    if was and self._message_bytes > 0 and not self.transport.is_closing():
        self._expect_nothing()
        self._expect_within(9 if ending or self._in_head else 30)


def begins_anew_in_a_body(self: protocol.BoundedProtocol, data: bytes) -> None:
    if self._in_head or self._is_ending:
        _receive(self, data)
    else:
        begins_anew(self, data)


def begins_anew_at_the_end(self: protocol.BoundedProtocol, data: bytes) -> None:
    if self._is_ending:
        begins_anew(self, data)
    else:
        _receive(self, data)


_receive = protocol.BoundedProtocol.data_received
_close: Any = vars(protocol.BoundedProtocol)["_close_after_whole_requests"]


@pytest.mark.parametrize(
    ("receive", "told"),
    [
        (begins_anew, "I9: a head that comes too late, in pieces: no whole answer"),
        (begins_anew_in_a_body, "I9: a body that comes too late, in pieces: no whole answer"),
        (begins_anew_at_the_end, "told to end: a client that has begun a head, and sends on: no answer"),
    ],
)
def test_a_time_that_begins_anew_with_each_part_is_found(
    monkeypatch: pytest.MonkeyPatch, receive: Any, told: str
) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(protocol.BoundedProtocol, "data_received", receive)
    assert told in (found() or "")


def test_a_time_that_begins_anew_with_each_chunk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: protocol.BoundedProtocol) -> None:
        self._expect_nothing()
        self._expect_within(30)

    hurry(monkeypatch)
    monkeypatch.setattr(protocol.BoundedProtocol, "on_chunk_complete", begin, raising=False)
    assert "a body in chunks that comes too late" in (found() or "")


def test_what_was_sent_ahead_and_is_dropped_at_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(self: protocol.BoundedProtocol) -> bool:
        for cycle in list(self._unanswered)[:1]:
            cycle.keep_alive = False
        is_closing: bool = _close(self)
        return is_closing

    hurry(monkeypatch)
    monkeypatch.setattr(protocol.BoundedProtocol, "_close_after_whole_requests", close)
    told = found() or ""
    assert "told to end: a client that sent two more: the connection ended" in told


def test_an_idle_connection_that_is_kept_at_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpToolsProtocol, "shutdown", lambda _: None)
    assert "I9: a process was told to end: a client that is idle is kept" in (found() or "")


def test_a_silent_connection_that_is_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = protocol.BoundedProtocol.connection_made

    def without_a_time(self: protocol.BoundedProtocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        self._expect_nothing()

    hurry(monkeypatch)
    monkeypatch.setattr(protocol.BoundedProtocol, "connection_made", without_a_time)
    assert "a client that connects and says nothing: the connection is not ended" in (found() or "")


class _First(Connections):
    """Who has come last gives way."""

    def wait(self, connection: Any) -> None:
        self._waiting = {connection: None, **self._waiting}


class _AtWork(Connections):
    """Who is worked for gives way, too."""

    def work(self, connection: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda _: Connections(1_000), "4 may be kept, and more are"),
        (lambda limit: Connections(limit - 1), "the last of 4 clients, which may be kept"),
        (_First, "4 may be kept, and more are"),
        (_AtWork, "4 clients are worked for, and another comes"),
    ],
)
def test_others_that_give_way_are_found(monkeypatch: pytest.MonkeyPatch, made: Any, told: str) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(serving, "Connections", made)
    assert told in (found() or "")


def test_a_refusal_that_does_not_say_when_to_come_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    detail = "too many connections are worked on"
    monkeypatch.setattr(protocol, "_NO_ROOM", on_the_wire(OVERLOADED, detail))
    assert "header retry-after: expected '1', got None" in (found() or "")


def test_what_is_not_counted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    make = protocol.BoundedProtocol.__init__

    def uncounted(self: protocol.BoundedProtocol, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._rejected = partial(_count_nothing, self._rejected)

    monkeypatch.setattr(protocol.BoundedProtocol, "__init__", uncounted)
    assert "I12: what was refused is counted as" in (found() or "")


def _count_nothing(count: Any, reason: str) -> None:
    if reason != "unread_answer":
        count(reason)
