"""Questions to /readyz that overlap, or come while the process is at work: what is wrong is found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import OperationalError

from payments_core.entrypoints import wiring
from payments_core.infrastructure.postgres import readiness
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_verify.surface.readiness import awaited
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole import stopped_time
from payments_verify.systems.whole.probes import wrong_probes
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

pytestmark = pytest.mark.invariant("I9")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug need not be waited for for long."""
    monkeypatch.setattr(stopped_time, "PATIENCE_S", 1.5)


def found(dsn: str) -> str:
    with new_database(dsn) as new, nothing_logged():
        return str(run(wrong_probes(new)))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("whose", ["the sweeper", "pages"])
def test_work_over_the_connection_of_readiness_is_found(
    dsn: str, whose: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store = wiring.postgres_store

    def store(pool: Any, settings: Any, waits: Any, own: Any) -> Any:
        made, apart = make_store(pool, settings, waits, own), make_store(own, settings)
        if whose == "pages":
            made.page = apart.page  # type: ignore[method-assign]
        else:
            made.lock_due = apart.lock_due  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(wiring, "postgres_store", store)
    told = found(dsn)
    assert told.startswith("I9: a sweep and requests wait for the database (")
    assert told.endswith("), and GET /readyz has no answer, where 200 was to come")


class _Asks(Readiness):
    """Asks as the service does, but for what is wrong with it."""

    async def _wait(self, question: asyncio.Task[bool]) -> bool:
        raise NotImplementedError

    async def __call__(self) -> bool:
        if vars(readiness)["perf_counter"]() < self._fresh_until:
            return True
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask())
        return await self._wait(self._question)


class _GivenUpForAll(_Asks):
    async def _wait(self, question: asyncio.Task[bool]) -> bool:
        await asyncio.wait([question], timeout=readiness.PATIENCE_S)
        if not question.done():
            question.cancel()
            raise OperationalError("the database has not answered in time")
        return question.result()


class _EndsWithItsFirst(_Asks):
    async def _wait(self, question: asyncio.Task[bool]) -> bool:
        try:
            return await asyncio.wait_for(question, readiness.PATIENCE_S)
        except TimeoutError:
            raise OperationalError("the database has not answered in time") from None


class _TimedFromTheFirst(_Asks):
    async def _wait(self, question: asyncio.Task[bool]) -> bool:
        await asyncio.wait([question], timeout=2 * readiness.PATIENCE_S)
        if not question.done():
            raise OperationalError("the database has not answered in time")
        return question.result()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (_GivenUpForAll, "has no whole answer: RemoteProtocolError"),
        (_EndsWithItsFirst, "has no answer, where 503 unavailable was to come"),
        (_TimedFromTheFirst, "has no answer, where 503 unavailable was to come"),
    ],
)
def test_a_question_that_others_wait_for_and_do_not_get_is_found(
    dsn: str, wrong: type[Readiness], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "Readiness", wrong)
    answer = found(dsn)
    assert answer.startswith("I9: the ")
    assert "/readyz is asked every 0.7 s" in answer
    assert answer.endswith(f"GET /readyz {told}")


@pytest.mark.usefixtures("impatient")
def test_a_question_that_ends_with_who_asked_first_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(question: asyncio.Task[bool]) -> bool:
        try:
            await asyncio.wait([question], timeout=readiness.PATIENCE_S)
        except asyncio.CancelledError:
            question.cancel()
            raise
        if not question.done():
            question.cancel()
        if not question.done() or question.cancelled():
            raise OperationalError("the database has not answered in time")
        return question.result()

    monkeypatch.setattr(_Asks, "_wait", lambda _, question: wait(question))
    monkeypatch.setattr(wiring, "Readiness", _Asks)
    answer = found(dsn)
    assert answer.startswith("I9: two ask /readyz, the first hangs up, ")


def test_an_application_that_is_cancelled_by_itself_answers_nothing() -> None:
    async def application(*_asked: Any) -> None:
        raise asyncio.CancelledError

    answer = run(awaited(ApplicationClient(application), 500, 0.0))
    assert answer.status_code == 500


def test_a_client_that_is_cancelled_is_cancelled() -> None:
    async def application(*_asked: Any) -> None:
        await asyncio.Event().wait()

    async def leave() -> bool:
        sent = asyncio.ensure_future(awaited(ApplicationClient(application), 500, 0.0))
        await asyncio.sleep(0)
        sent.cancel()
        await asyncio.wait([sent])
        return sent.cancelled()

    assert run(leave())
