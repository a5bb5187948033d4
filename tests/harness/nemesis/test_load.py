"""Clients under a nemesis: they ask until they know, and note what may not happen whatever goes wrong."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from payments_verify.binding import Http, Response
from payments_verify.nemesis import load as load_module
from payments_verify.nemesis.load import Habits, Load
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.specification.spec import Payments
from payments_verify.systems.application import witnessed
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.history.json_lines import parse
from pgweave.history.linearizability import check
from pgweave.history.operations import Operation, Outcome
from pgweave.history.recorder import Recorder

LIMIT_S = 60
_WORKING_S = 0.4
Made = Callable[[], httpx.Response | None]


class Fickle:
    """Carries requests to an application, and answers some of them otherwise, or not at all: ``None``."""

    def __init__(self, http: Http, otherwise: Callable[[str], Made | None]) -> None:
        self.http = http
        self.otherwise = otherwise
        self.requests = 0

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Response:
        self.requests += 1
        made = self.otherwise(path)
        done = await self.http.request(method, path, headers=headers, json=json)
        if made is None:
            return done
        answer = made()
        if answer is None:
            raise httpx.ReadError("lost on the way")
        if "X-Request-ID" in answer.headers:
            answer.headers["X-Request-ID"] = headers.get("X-Request-ID", "1")
        return answer


def pools(*otherwise: Callable[[str], Made | None]) -> list[Fickle]:
    """Processes of one service, each with its own way to go wrong."""
    http = witnessed(InMemoryPaymentStore(lambda: 1_000_000_000)).http
    return [Fickle(http, each) for each in otherwise]


def well(_path: str) -> None:
    return None


def play(tmp_path: Path, http: list[Fickle], habits: Habits) -> Load:
    """Let clients work for a while; their load, finished."""

    async def run() -> Load:
        with Recorder(tmp_path / "h.jsonl", spec="payments") as recorder:
            load = Load(http, recorder, habits, random.Random(1))
            load.start()
            await asyncio.sleep(_WORKING_S)
            await load.finish()
            for payment in load.payments:  # the last look, without which not everything can be explained
                await load.send_command(Invocation("read", {"payment": payment}))
        return load

    async def limited() -> Load:
        async with asyncio.timeout(LIMIT_S):
            return await run()

    return asyncio.run(limited())


def recorded(tmp_path: Path) -> tuple[Operation, ...]:
    return parse((tmp_path / "h.jsonl").read_bytes(), "h").operations


def sometimes(what: Made) -> Callable[[str], Made | None]:
    rng = random.Random(2)
    return lambda _path: what if rng.random() < 0.4 else None


def test_nothing_goes_wrong(tmp_path: Path) -> None:
    load = play(tmp_path, pools(well, well), Habits(clients=4, disconnect=0, early=0.2))
    assert (load.tally.findings, load.tally.unknown) == ([], 0)
    assert load.tally.acknowledged <= set(load.payments)
    assert len(load.tally.acknowledged) >= 6
    assert load.tally.early > 0
    assert check(Payments(), recorded(tmp_path)).verdict == "holds"


def test_what_is_not_answered_is_asked_again_until_it_is(tmp_path: Path) -> None:
    load = play(tmp_path, pools(sometimes(lambda: None)), Habits(clients=4, disconnect=0))
    operations = recorded(tmp_path)
    unknown = [each for each in operations if each.outcome is Outcome.UNKNOWN and each.f != "sweep"]
    assert len(unknown) == load.tally.unknown > 0
    for lost in unknown:
        again = [each for each in operations if each.called > lost.called and each.value == lost.value]
        assert any(each.f == lost.f and each.outcome is not Outcome.UNKNOWN for each in again)
    assert load.tally.findings == []
    assert check(Payments(), operations).verdict == "holds"


def test_clients_go_to_the_process_that_answers(tmp_path: Path) -> None:
    good, bad = http = pools(well, lambda _path: lambda: None)
    load = play(tmp_path, http, Habits(clients=4, disconnect=0))
    assert load.tally.findings == []
    assert good.requests > 3 * bad.requests > 0


WHEN = {
    "Retry-After": "1",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",  # as where a connection is refused: no request has come that could have an id
}
BUSY = {
    "type": "/problems/payment_busy",
    "title": "Others hold the payment",
    "status": 503,
    "detail": "later",
}


@pytest.mark.parametrize(
    ("answer", "is_found"),
    [
        (httpx.Response(500, text="oops"), True),
        (httpx.Response(503, text="no word of when"), True),
        (httpx.Response(504, headers=WHEN, json=BUSY), True),
        (httpx.Response(503, headers=WHEN, text="no problem document"), True),
        (httpx.Response(503, headers={"Content-Type": "application/problem+json", **WHEN}, json=BUSY), False),
    ],
)
def test_the_only_5xx_is_a_503_that_says_when(tmp_path: Path, answer: httpx.Response, is_found: bool) -> None:
    load = play(tmp_path, pools(sometimes(lambda: answer)), Habits(clients=2, disconnect=0))
    assert load.tally.unknown > 0
    assert bool(load.tally.findings) == is_found
    assert all(str(answer.status_code) in each for each in load.tally.findings)


def test_an_answer_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    load = play(tmp_path, pools(sometimes(lambda: httpx.Response(200, text="?"))), Habits(2, 0, 0))
    assert load.tally.findings


def test_a_repeated_answer_with_another_field_is_a_finding(tmp_path: Path) -> None:
    class Cached(Fickle):
        async def request(self, *arguments: Any, **more: Any) -> Response:
            answer = await super().request(*arguments, **more)
            if "idempotent-replayed" not in answer.headers:
                return answer
            headers = {**answer.headers, "age": "1"}
            return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    load = play(tmp_path, [Cached(each.http, well) for each in pools(well)], Habits(4, 0, 0.5))
    assert load.tally.findings
    assert all(each.startswith("I3: POST") and "age" in each for each in load.tally.findings)


def test_a_key_that_never_gets_an_answer_is_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "PATIENCE_S", 0.5)
    never = pools(lambda path: (lambda: None) if path.endswith("/captures") else None)
    load = play(tmp_path, never, Habits(clients=1, disconnect=0, early=0))
    assert "stuck" in load.tally.findings[0]


def test_a_service_that_is_wrong_again_and_again_is_given_up(tmp_path: Path) -> None:
    broken = pools(lambda path: (lambda: httpx.Response(500)) if path.endswith("/authorize") else None)
    load = play(tmp_path, broken, Habits(disconnect=0, early=0))  # and does not wait for its patience to end
    assert load.tally.is_full
    assert all("500" in each for each in load.tally.findings)


def test_clients_that_leave_do_not_wait_and_ask_again(tmp_path: Path) -> None:
    class Slow(Fickle):
        async def request(self, *arguments: Any, **more: Any) -> Response:
            answer = await super().request(*arguments, **more)
            await asyncio.sleep(0.02)
            return answer

    def slow() -> list[Fickle]:
        return [Slow(each.http, well) for each in pools(well)]

    assert play(tmp_path, slow(), Habits(clients=4, disconnect=0.5, stay=True)).tally.unknown == 0
    load = play(tmp_path, slow(), Habits(clients=4, disconnect=0.5))
    assert load.tally.disconnects == load.tally.unknown > 0
    assert load.tally.findings == []
    assert check(Payments(), recorded(tmp_path)).verdict == "holds"


def test_clients_that_are_just_leaving_are_ended_too(tmp_path: Path) -> None:
    async def run() -> None:
        leaving = asyncio.Event()

        class Reluctant(Fickle):
            async def request(self, *arguments: Any, **more: Any) -> Response:
                try:
                    await asyncio.sleep(LIMIT_S)
                finally:
                    leaving.set()
                    await asyncio.sleep(0.2)
                return await super().request(*arguments, **more)

        with Recorder(tmp_path / "h.jsonl", spec="payments") as recorder:
            http = [Reluctant(each.http, well) for each in pools(well)]
            load = Load(http, recorder, Habits(clients=1, disconnect=1.0), random.Random(1))
            load.start()
            await leaving.wait()
            await asyncio.wait_for(load.abandon(), 10)

    asyncio.run(run())
