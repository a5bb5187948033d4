"""Requests beside others: crowds for held payments, limits of time, reads of the same. Each can fail."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any
from uuid import UUID

import pytest

from payments_core.entrypoints import wiring
from payments_core.entrypoints.http import limits, problems
from payments_core.entrypoints.settings import Settings
from payments_core.infrastructure.postgres import contention, readiness, statements
from payments_core.infrastructure.postgres.contention import Contention
from payments_core.infrastructure.postgres.pool import Pool
from payments_core.infrastructure.postgres.session import Session
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole import fresh_reads, limits_of_time, stopped_time
from payments_verify.systems.whole.fresh_reads import wrong_reads
from payments_verify.systems.whole.isolation import wrong_isolation
from payments_verify.systems.whole.limits_of_time import wrong_limits
from payments_verify.systems.whole.many_at_once import wrong_of_many
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

Check = Callable[[str], Coroutine[Any, Any, str | None]]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug need not be waited for for long."""
    monkeypatch.setattr(stopped_time, "PATIENCE_S", 1.5)
    monkeypatch.setattr(fresh_reads, "_ALONE_S", 0.3)
    monkeypatch.setattr(limits_of_time, "_LIMITS_S", (0.3,))


def found(check: Check, dsn: str) -> str:
    with new_database(dsn) as new, nothing_logged():
        return str(run(check(new)))


# ---- reads --------------------------------------------------------------------------------------


@pytest.mark.invariant("I8")
@pytest.mark.parametrize(
    ("method", "kind"), [("get", "a payment,"), ("page", "the list,"), ("attempts", "attempts,")]
)
@pytest.mark.parametrize("forgets", [True, False])
@pytest.mark.usefixtures("impatient")
def test_reads_that_are_joined_or_kept_are_found(
    dsn: str, method: str, kind: str, forgets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(PostgresPaymentStore, method)
    looking: dict[Any, asyncio.Future[Any]] = {}

    async def joined(self: PostgresPaymentStore, *what: Any) -> Any:
        place = self, what
        if place not in looking:
            looking[place] = asyncio.ensure_future(original(self, *what))
            if forgets:
                looking[place].add_done_callback(lambda _: looking.pop(place))
        return await asyncio.shield(looking[place])

    monkeypatch.setattr(PostgresPaymentStore, method, joined)
    assert found(wrong_reads, dsn).startswith(f"I8, I10: {kind} ")


# ---- crowds -------------------------------------------------------------------------------------


class _Striped(Contention):
    async def turn(self, payment_id: UUID) -> asyncio.Semaphore:
        return await super().turn(UUID(int=payment_id.int % 64))


class _Hashed(Contention):
    async def turn(self, payment_id: UUID) -> asyncio.Semaphore:
        return await super().turn(UUID(int=hash(payment_id) % 61))


class _UncountedWaits(Contention):
    def locking_statement(self) -> str:
        return statements.LOCK_PAYMENT


def _with(made: type[Contention] = Contention, **bounds: Any) -> Callable[[Pool, Settings], Contention]:
    def make(pool: Pool, settings: Settings) -> Contention:
        as_it_is = {
            "connections": max(1, pool.max_size // 2),
            "requests": max(1, settings.max_requests // 2),
            "patience_s": settings.pool_timeout_s,
        }
        return made(**{**as_it_is, **bounds})

    return make


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_with(connections=5), "10 creations of one payment use "),
        (_with(connections=1), "10 creations of one payment use 1 connections, of 5"),
        (_with(requests=17), "21 requests want them: 2 are answered at once"),
        (_with(requests=15), "21 requests want them: 4 are answered at once"),
        (_with(_UncountedWaits), "holds 2 of the payments, and 21 requests want them"),
        (_with(_Striped), " was to come"),
        (_with(_Hashed), " was to come"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_other_bounds_are_found(dsn: str, make: Any, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "contention", make)
    assert told in found(wrong_isolation, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("impatient")
def test_waits_that_are_counted_for_good_are_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    end = "payments_core.infrastructure.postgres.contention._Locking.__exit__"
    original: Any = pkgutil.resolve_name(end)

    def leave(self: Any, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            original(self, kind, error, trace)

    monkeypatch.setattr(end, leave)
    assert "requests want them: " in found(wrong_isolation, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("impatient")
def test_a_process_that_asks_over_connections_of_requests_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = wiring.postgres_store
    monkeypatch.setattr(
        wiring, "postgres_store", lambda pool, settings, waits, _own: make(pool, settings, waits)
    )
    assert "holds the table, and /readyz is not answered 200 at once" in found(wrong_isolation, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.usefixtures("impatient")
def test_one_request_too_many_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = limits.Admission.__init__

    def more(self: limits.Admission, app: Any, limit: int, *others: Any) -> None:
        make(self, app, limit + 1, *others)

    monkeypatch.setattr(limits.Admission, "__init__", more)
    told = found(wrong_isolation, dsn)
    assert "33 requests are under way" in told
    assert "503 overloaded was to come" in told


# ---- limits of time -----------------------------------------------------------------------------


def _twice_as_long(original: Any) -> Any:
    async def getconn(self: Pool, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - the pool's
        return await original(self, 2 * (self.timeout if timeout is None else timeout))

    return getconn


class _LastFirst(asyncio.Semaphore):
    """Who comes last has the next turn."""

    def release(self) -> None:
        if self._waiters:
            self._waiters.rotate(1)
        super().release()


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("where", "name", "change", "told"),
    [
        (Pool, "getconn", _twice_as_long, "a request waits for a connection for 1000 s: GET"),
        (contention, "_LONGEST_PAUSE_S", lambda _: 10.0, "pauses for more than 0.32 s"),
        (contention, "_FIRST_PAUSE_S", lambda _: 0.0, "tries again without a pause"),
        (readiness, "FRESH_S", lambda _: 0.8, "is not ready before 1 s are over"),
        (readiness, "FRESH_S", lambda _: 1.3, "asks whether the database does not answer"),
        (readiness, "PATIENCE_S", lambda _: 1.8, "before 2 s are over it is answered"),
        (readiness, "PATIENCE_S", lambda _: 4.0, "for 2 s: GET /readyz has no answer"),
        (problems, "RETRY_AFTER", lambda _: {}, "header retry-after: expected '1', got None"),
        (asyncio, "Semaphore", lambda _: _LastFirst, "want a payment in this order, and have it as"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_other_limits_of_the_service_are_found(
    dsn: str, where: Any, name: str, change: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(where, name, change(getattr(where, name)))
    assert told in found(wrong_limits, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("patience", "told"),
    [
        (lambda each: each.request_timeout_s / 2, "others that want its payment for 1000 s: POST"),
        (lambda each: each.pool_timeout_s, "others that want its payment for 4500 s: POST"),
        (
            lambda each: min(each.pool_timeout_s, each.request_timeout_s / 2),
            "others that want its payment for 4500 s: POST",
        ),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_other_patience_is_found(
    dsn: str, patience: Callable[[Settings], float], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(pool: Pool, settings: Settings) -> Contention:
        return _with(patience_s=patience(settings))(pool, settings)

    monkeypatch.setattr(wiring, "contention", make)
    assert told in found(wrong_limits, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("lock_timeout", "payment_busy"),
        ("statement_timeout", "unavailable"),
        ("idle_in_transaction_session_timeout", "unavailable"),
        ("transaction_timeout", "unavailable"),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_a_limit_that_the_database_is_not_told_is_found(
    dsn: str, setting: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told_all = Session.settings
    monkeypatch.setattr(limits_of_time, "_wrong_of_the_service", _nothing)

    def without(self: Session, version: int) -> dict[str, str]:
        return {name: value for name, value in told_all(self, version).items() if name != setting}

    monkeypatch.setattr(Session, "settings", without)
    assert f"has no answer, where 503 {problem} was to come" in found(wrong_limits, dsn)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize("most", [100, 245])
def test_a_bound_of_those_who_wait_for_a_connection_is_found(
    dsn: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = wiring.make_pool

    def bounded(*given: Any, **more: Any) -> Pool:
        made = make(*given, **more)
        made.max_waiting = most
        return made

    monkeypatch.setattr(wiring, "make_pool", bounded)
    told = found(wrong_of_many, dsn)
    assert told.startswith("I9: 256 requests are under way, as many as may be, each for another payment; ")
    assert " is answered 503 " in told


async def _nothing(_dsn: str) -> None:
    return None
