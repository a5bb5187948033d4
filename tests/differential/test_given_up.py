"""Requests that are given up, and what becomes of those after them and beside them. The check can fail."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any

import psycopg
import pytest

from payments_core.application.use_cases import AuthorizePayment, CapturePayment, CreatePayment, FailPayment
from payments_core.infrastructure.postgres import connection, statements
from payments_core.infrastructure.postgres.batch import Batch
from payments_core.infrastructure.postgres.connection import Connection
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.whole import stopped_time
from payments_verify.systems.whole.checks import whole_checks
from payments_verify.systems.whole.ended_sessions import wrong_after_ends
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


def found(dsn: str) -> str:
    return str(run(whole_checks(dsn)["requests that are given up"]()))


async def unawaited(connection: psycopg.AsyncConnection, **limit: Any) -> None:
    ASKING.add(asyncio.create_task(CANCEL(connection, **limit)))
    await asyncio.sleep(0)


async def passed_over(connection: psycopg.AsyncConnection, **limit: Any) -> None:
    with suppress(psycopg.Error):
        await CANCEL(connection, **limit)


ASKING: set[asyncio.Task[None]] = set()
CANCEL: Callable[..., Any] = Connection.cancel_safe


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(("cancel", "how_late"), [(unawaited, "before"), (passed_over, "long before")])
def test_a_request_to_cancel_that_outlives_its_statement_is_found(
    dsn: str, cancel: Any, how_late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopped_time, "PATIENCE_S", 1.5)
    monkeypatch.setattr(Connection, "cancel_safe", cancel)
    told = found(dsn)
    late = f"came to their deadlines, and ended {how_late} that was heard"
    assert told.startswith(f"I9: requests on new connections {late}, and PUT /payments/")
    assert " is answered 503 " in told


@pytest.mark.invariant("I9")
def test_statements_that_were_not_prepared_are_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare: Callable[..., Awaitable[None]] = vars(Batch)["_prepare"]

    async def noted(self: Batch, queries: Sequence[str]) -> None:
        try:
            await prepare(self, queries)
        except BaseException:
            self._connection.prepared |= dict.fromkeys(queries, b"nothing")
            raise

    monkeypatch.setattr(Batch, "_prepare", noted)
    told = found(dsn)
    assert told.startswith("I9: requests on new connections were left by their clients, and ")
    assert " is answered 503 " in told


@pytest.mark.invariant("I9")
def test_a_setting_that_is_left_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "HARDLY_WAIT", "SELECT set_config('lock_timeout', '9', false)")
    assert "and then a session has another setting: lock_timeout = " in found(dsn)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (CreatePayment, "PUT /payments/"),
        (AuthorizePayment, "POST /payments/"),
        (CapturePayment, "POST /payments/"),
        (FailPayment, "POST /payments/"),
    ],
)
def test_requests_that_are_joined_to_one_that_is_given_up_are_found(
    dsn: str, kind: type, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopped_time, "PATIENCE_S", 1.5)
    monkeypatch.setattr("payments_verify.systems.whole.checks.wrong_handing_on", nothing)
    monkeypatch.setattr(kind, "__call__", joined(vars(kind)["__call__"]))
    answer = found(dsn)
    assert answer.startswith(f"I9: of two requests alike the first is left by its client: {told}")
    assert answer.endswith(" has no whole answer: RemoteProtocolError")


async def nothing(_dsn: str) -> None:
    return None


def joined(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same, which waits for one that is under way, and is cancelled with it."""
    under_way: dict[Any, asyncio.Future[Any]] = {}

    async def call(self: Any, *asked: Any) -> Any:
        if asked in under_way:
            return await asyncio.shield(under_way[asked])
        answered = under_way[asked] = asyncio.get_running_loop().create_future()
        try:
            result = await original(self, *asked)
        except BaseException:
            answered.cancel()
            raise
        else:
            answered.set_result(result)
            return result
        finally:
            del under_way[asked]

    return call


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("watch", ["perf_counter", "monotonic", "the loop"])
def test_connections_that_have_just_answered_and_are_not_looked_at_are_found(
    dsn: str, watch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def now() -> float:
        if watch == "the loop":
            return asyncio.get_running_loop().time()
        watched: float = getattr(connection, watch, perf_counter)()
        return watched

    heard_at: dict[Connection, float] = {}
    converse, has_ended = Connection.converse, Connection.has_ended

    async def noted(self: Connection, generator: Any) -> Any:
        result = await converse(self, generator)
        heard_at[self] = now()
        return result

    monkeypatch.setattr(Connection, "converse", noted)
    monkeypatch.setattr(
        Connection,
        "has_ended",
        lambda self: now() - heard_at.get(self, 0.0) >= 0.005 and has_ended(self),
    )
    told = str(run(wrong_after_ends(dsn)))
    assert told.startswith("I9: the connection was cut 0 s after PUT /payments/")
    assert " is answered 503 " in told


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("is_kept", [True, False])
def test_connections_that_are_not_looked_at_where_they_come_from_are_found(
    dsn: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ended = Connection.has_ended

    def looked_at(self: Connection) -> bool:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        asks_the_pool = "until" in frame.f_back.f_locals
        return asks_the_pool is is_kept and has_ended(self)

    monkeypatch.setattr(Connection, "has_ended", looked_at)
    told = str(run(wrong_after_ends(dsn)))
    assert told.startswith("I9: the connection was cut 0 s after ")
    assert ("and GET /readyz is answered 503 " in told) is not is_kept
