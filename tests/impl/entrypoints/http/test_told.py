"""After races, retries and errors the lines of the log and the metrics say what was answered, each once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from payments_core.entrypoints import bulk
from payments_verify.surface import Witness
from payments_verify.surface.counters import wrong_counters
from payments_verify.systems.application import witnessed
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.stores import NOON, Kit

pytestmark = pytest.mark.anyio


class Conflicting(InMemoryPaymentStore):
    """Takes every third transaction back, and of those every other one for good."""

    def __init__(self) -> None:
        super().__init__(lambda: NOON)
        self.locks = self.retried = 0

    def lock(self, *arguments: Any) -> Any:
        self.locks += 1
        if self.locks % 3 == 0:
            kind = psycopg.errors.SerializationFailure if self.locks % 2 else psycopg.errors.QueryCanceled
            raise kind("could not serialize access")
        return super().lock(*arguments)

    def is_conflict(self, error: Exception) -> bool:
        is_taken_back = isinstance(error, psycopg.errors.SerializationFailure)
        self.retried += is_taken_back
        return is_taken_back


async def race(service: Witness) -> None:
    """Lives of some payments, whose captures race, are repeated, refused and malformed."""

    async def ask(method: str, path: str, body: dict[str, object], key: str = "") -> int:
        headers = {"Idempotency-Key": key} if key else {}
        return (await service.request(method, path, headers=headers, json=body)).status_code

    async def life() -> None:
        path = f"/payments/{uuid4()}"
        await ask("PUT", path, {"amount_cents": 500})
        while await ask("POST", f"{path}/authorize", {"capture_window_seconds": 60}) == 503:
            pass
        asked = [(f"k{number % 4}", 500 + (number == 5)) for number in range(12)]
        await asyncio.gather(*(ask("POST", f"{path}/captures", {"amount_cents": c}, k) for k, c in asked))
        await ask("POST", f"{path}/captures", {"amount_cents": 0}, "k9")
        await ask("POST", f"{path}/captures", {"amount_cents": 500})
        await ask("POST", f"{path}/fail", {"reason": "voided"})

    await asyncio.gather(*(life() for _ in range(5)))


async def told(service: Witness, logs: list[Any]) -> None:
    await asyncio.sleep(5 * bulk.LATE_S)
    lines = [line for line in logs if line["event"] == "request" and line["route"].startswith("/payments")]
    assert Counter((each["method"], each["route"], each["status"]) for each in lines) == service.requests
    captures = Counter((each["outcome"], each["replayed"]) for each in lines if "outcome" in each)
    decided = {(outcome, False): times for outcome, times in service.decided.items()}
    repeated = {(outcome, True): times for outcome, times in service.repeated.items()}
    assert captures == decided | repeated
    assert len({each["request_id"] for each in lines}) == len(lines)
    assert await wrong_counters(service) is None


async def test_after_races(postgres: Kit) -> None:
    with capture_logs() as logs:
        service = witnessed(postgres.store)
        await race(service)
        await told(service, logs)
    assert service.decided["captured"] == 5
    assert service.repeated.total() > 20


async def test_after_retries_and_errors() -> None:
    store = Conflicting()
    with capture_logs() as logs:
        service = witnessed(store)
        await race(service)
        await told(service, logs)
    assert any(status == "503" for *_, status in service.requests)
    assert store.retried > 0


async def test_a_line_that_is_missing_is_seen(memory: Kit) -> None:
    with capture_logs() as logs:
        service = witnessed(memory.store)
        await race(service)
        await asyncio.sleep(5 * bulk.LATE_S)
        logs.remove(next(each for each in logs if each.get("outcome") == "captured"))
        with pytest.raises(AssertionError):
            await told(service, logs)
