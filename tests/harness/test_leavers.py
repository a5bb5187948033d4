"""What is counted or kept of clients that went away is found."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from payments_core.entrypoints import serving
from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.limits import Admission
from payments_core.entrypoints.http.protocol import BoundedProtocol
from payments_core.entrypoints.metrics import Metrics
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole.slow_clients import wrong_for_slow_clients


def found() -> str:
    with nothing_logged():
        return asyncio.run(wrong_for_slow_clients("")) or ""


class _WaitingOnly(Connections):
    """A connection is taken off the count only if it waits for its client."""

    def remove(self, connection: Any) -> None:
        if connection in self._waiting:
            super().remove(connection)


class _OneForMany(Connections):
    """Who gives way is taken off the count a moment later."""

    is_adding = False

    def add(self, connection: Any, rejected: Any) -> None:
        self.is_adding = True
        super().add(connection, rejected)
        self.is_adding = False

    def remove(self, connection: Any) -> None:
        if not self.is_adding:
            super().remove(connection)


class _Remembered(Connections):
    """Connections that have ended are remembered."""

    def remove(self, connection: Any) -> None:
        super().remove(connection)
        self.ended = [*getattr(self, "ended", ()), connection]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            _WaitingOnly,
            "I9: 4 clients are worked for: of 6 new ones 4 may be kept, and 0 are served: expected",
        ),
        (_OneForMany, "I9: 4 clients say nothing: of 6 new ones 4 may be kept, and"),
        (_Remembered, "connections that ended are kept in the process's memory"),
    ],
)
def test_other_counts_of_those_who_left_are_found(
    monkeypatch: pytest.MonkeyPatch, made: Any, told: str
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.moved_server._PATIENCE_S", 0.6)
    monkeypatch.setattr(serving, "Connections", made)
    assert told in found()


def test_a_second_request_that_is_counted_as_waiting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = BoundedProtocol.on_response_complete

    def waits(self: BoundedProtocol) -> None:
        complete(self)
        self._connections.wait(self)

    monkeypatch.setattr(BoundedProtocol, "on_response_complete", waits)
    assert "I9: 4 clients are worked for a second time: another comes: expected 503" in found()


def test_places_of_those_who_left_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, lost = Admission.__call__, BoundedProtocol.connection_lost

    def told(self: BoundedProtocol, exc: Exception | None) -> None:
        for cycle in self._unanswered:
            cycle.scope["is_gone"] = True  # type: ignore[typeddict-unknown-key] # not a field of ASGI's
        lost(self, exc)

    async def keeps(self: Admission, scope: Any, receive: Any, send: Any) -> None:
        await serve(self, scope, receive, send)
        self._admitted += "is_gone" in scope

    monkeypatch.setattr(BoundedProtocol, "connection_lost", told)
    monkeypatch.setattr(Admission, "__call__", keeps)
    assert "I9: 4 clients are worked for: of 6 new ones 4 may be kept, and 0 are served: expected" in found()


def test_connections_that_stay_open_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.stopped_time.PATIENCE_S", 0.1)
    monkeypatch.setattr(BoundedProtocol, "eof_received", lambda _: True)
    assert "I9: 4 clients say nothing: 2 connections stay open behind them" in found()


def test_a_refusal_that_is_counted_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = vars(BoundedProtocol)["_refuse"]

    def again(self: BoundedProtocol, answer: bytes, reason: str) -> None:
        self._is_refused = False
        refuse(self, answer, reason)

    monkeypatch.setattr(BoundedProtocol, "_refuse", again)
    assert "'malformed_http': 12.0}, and was" in found()


def test_requests_that_never_end_in_the_metrics_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    began = Metrics.request_began

    def twice(self: Metrics) -> None:
        began(self)
        began(self)

    monkeypatch.setattr(Metrics, "request_began", twice)
    assert "requests are counted as under way, and the one for the metrics is" in found()
