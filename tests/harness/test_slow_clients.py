"""The check of what clients may take their time for is able to fail, at each limit."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
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
        (protocol, "_ENDING_LIMIT_S", 5, "as the process ends, a request that is not whole"),
        (protocol, "_ENDING_LIMIT_S", 0.5, "as the process ends, a request that is not whole"),
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


def test_a_request_that_keeps_its_time_as_the_process_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(protocol, "_ENDING_LIMIT_S", 9)
    assert "as the process ends, a request that is not whole: no answer within 1 s" in (found() or "")


def test_an_idle_connection_that_is_kept_at_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpToolsProtocol, "shutdown", lambda _: None)
    assert "as the process ends, an idle connection is kept" in (found() or "")


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
