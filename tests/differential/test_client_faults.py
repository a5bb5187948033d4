"""The client library under faults: it ends with exactly one capture, and what it says is what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payments_client import AsyncPaymentsClient, Policy, new_key, requests
from payments_core.entrypoints.http.app import create_app
from payments_verify.binding import own_client
from payments_verify.payments.faults.exploration import FaultReport, explore_fault
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.scenarios.catalogue import ONE_CAPTURE, SCENARIOS, Scenario
from payments_verify.payments.specification.spec import Payments
from payments_verify.systems import gated
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.gate import Fault
from pgweave.history.linearizability import check
from pgweave.history.operations import Outcome
from pgweave.history.recorder import Recorder
from pgweave.verdict import Verdict
from tests.support.exploring import run
from tests.support.library import captured, soon, with_library
from tests.support.misbehaving import OVERLOADED, Behaviour
from tests.support.stores import NOON

# ---- the database's faults: at every statement --------------------------------------------------


def take_a_new_key_each_time(patch: pytest.MonkeyPatch) -> None:
    """Make the library's retries captures of their own."""
    keys = iter(["k1"])
    patch.setattr(requests, "_quoted", lambda _key: f'"{next(keys, None) or new_key()}"')


def explored(dsn: str, scenario: Scenario, fault: Fault) -> FaultReport:
    async def main() -> FaultReport:
        async with gated(dsn, instances=2) as service:
            return await explore_fault(scenario, fault, with_library(service))

    return run(main())


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_one_capture_whatever_goes_wrong_at_whichever_statement(dsn: str, fault: Fault) -> None:
    report = explored(dsn, ONE_CAPTURE, fault)
    assert report.verdict == "holds", report.as_json()
    # PostgreSQL takes nothing back at BEGIN.
    taken_back = fault in (Fault.SERIALIZATION_FAILURE, Fault.DEADLOCK)
    assert report.places == (1 if fault is Fault.COMPLETION_UNKNOWN else 6 if taken_back else 7)
    # Each run ended with the one capture, and with a client that knows of it; one was without a fault.
    assert report.acknowledged == report.schedules - 1
    assert (report.unanswered, report.lost, report.doubled) == (0, 0, 0)


@pytest.mark.parametrize("name", ["different-keys", "capture-and-void"])
def test_racing_clients_and_the_ambiguous_commit(dsn: str, name: str) -> None:
    report = explored(dsn, SCENARIOS[name], Fault.CUT_AFTER)
    assert report.verdict == "holds", report.as_json()
    assert (report.lost, report.doubled) == (0, 0)


def test_a_client_that_retries_under_a_new_key_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    take_a_new_key_each_time(monkeypatch)
    report = explored(dsn, ONE_CAPTURE, Fault.CUT_AFTER)
    assert report.verdict == "violated", report.as_json()
    assert "not linearizable" in str(report.as_json()["problem"])


class Forgetful:
    """Sends a capture that was not answered again under a key of its own."""

    def __init__(self, client: Sender) -> None:
        self._client = client
        self._unanswered: set[str] = set()

    async def send(self, invocation: Invocation) -> Observation:
        payment = invocation.value["payment"]
        value = dict(invocation.value)
        if invocation.f == "capture" and payment in self._unanswered:
            value["key"] += "-again"
        seen = await self._client.send(replace(invocation, value=value))
        if invocation.f == "capture" and seen.kind == "unknown":
            self._unanswered.add(payment)
        return seen


def test_what_is_wrong_with_one_client_is_told_though_the_other_is_right(dsn: str) -> None:
    async def main() -> FaultReport:
        async with gated(dsn, instances=2) as service:
            forgetful = replace(service, clients=(Forgetful(service.client),))
            return await explore_fault(SCENARIOS["capture-and-void"], Fault.CUT_AFTER, forgetful)

    report = run(main())
    assert (report.verdict, report.place and report.place[0]) == ("violated", 0), report.as_json()


# ---- the network's faults: drawn ----------------------------------------------------------------


class Faulty(httpx.AsyncBaseTransport):
    """Loses, cuts and replaces answers as a plan says, and then no more."""

    def __init__(self, inner: httpx.AsyncBaseTransport, plan: Sequence[Behaviour]) -> None:
        self._inner = inner
        self._plan = list(plan)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        behaviour = self._plan.pop(0) if self._plan else Behaviour.PASS
        if behaviour is Behaviour.OVERLOADED:
            return httpx.Response(503, content=OVERLOADED, headers={"Retry-After": "1"})
        if behaviour is Behaviour.CUT_BEFORE:
            raise httpx.WriteError("cut")
        response = await self._inner.handle_async_request(request)
        match behaviour:
            case Behaviour.CUT_AFTER:
                raise httpx.RemoteProtocolError("cut")
            case Behaviour.HALF:
                whole = await response.aread()
                return httpx.Response(response.status_code, content=whole[: len(whole) // 2])
            case Behaviour.BAD_GATEWAY:
                return httpx.Response(502, content=b"<html>")
            case Behaviour.GATEWAY_TIMEOUT:
                raise httpx.ReadTimeout("nothing came")
        return response


FAULTS = [
    Behaviour.PASS,
    Behaviour.CUT_BEFORE,
    Behaviour.CUT_AFTER,
    Behaviour.HALF,
    Behaviour.OVERLOADED,
    Behaviour.BAD_GATEWAY,
    Behaviour.GATEWAY_TIMEOUT,
]
PLANS = st.lists(
    st.tuples(st.sampled_from(["k1", "k2", "k3"]), st.lists(st.sampled_from(FAULTS), max_size=6)),
    min_size=1,
    max_size=4,
)


async def raced(plans: Sequence[tuple[str, Sequence[Behaviour]]], folder: Path) -> tuple[Verdict, int]:
    """Clients of one payment, each with a key and faults of its own; the verdict, and captures stored."""
    store = InMemoryPaymentStore(lambda: NOON)
    inner = httpx.ASGITransport(create_app(store))
    payment = str(uuid4())
    with Recorder(folder / f"{payment}.jsonl", spec="payments") as recorder:
        async with httpx.AsyncClient(transport=inner, base_url="http://payments") as http:
            harness = own_client(http)

            async def ask(process: int, f: str, send: Any, **arguments: Any) -> None:
                invocation = Invocation(f, {"payment": payment, **arguments})
                recorder.invoke(process, f, dict(invocation.value))
                observed = await send(invocation)
                recorder.respond(process, observed.kind, dict(observed.value))

            async def capture(process: int, key: str, plan: Sequence[Behaviour]) -> None:
                transport = Faulty(inner, plan)
                policy = Policy(deadline_s=600, first_wait_s=0.001)
                library = AsyncPaymentsClient(
                    "http://payments", policy=policy, transport=transport, sleep=soon
                )
                # What the library sent before its last attempt may have taken effect, or not.
                lost: dict[str, str | int] = {"payment": payment, "key": key, "amount": 500}
                recorder.invoke(100 + process, "capture", lost)
                await ask(process, "capture", lambda asked: captured(library, asked), key=key, amount=500)
                recorder.respond(100 + process, "unknown", {})

            await ask(0, "create", harness.send, amount=500)
            await ask(0, "authorize", harness.send, window=60_000_000)
            await asyncio.gather(*(capture(n, *plan) for n, plan in enumerate(plans, 1)))
            await ask(0, "attempts", harness.send)
            await ask(0, "read", harness.send)
        operations = recorder.history().operations
    unheard = [each for each in operations if each.outcome is Outcome.UNKNOWN]
    assert all(each.process >= 100 for each in unheard), "the library had no answer"
    answer: Any = next(each.response for each in operations if each.f == "attempts")
    attempts = answer["attempts"]
    return check(Payments(), operations).verdict, sum(each["outcome"] == "captured" for each in attempts)


@pytest.mark.invariant("I1")
@settings(deadline=None, max_examples=60)
@given(plans=PLANS)
def test_any_clients_under_any_faults_end_with_one_capture(
    plans: list[tuple[str, list[Behaviour]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("histories")
    assert run(raced(plans, folder)) == ("holds", 1)


def test_the_check_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes what a retry under a new key hears for the answer to its capture."""
    take_a_new_key_each_time(monkeypatch)
    verdict, captures = run(raced([("k1", [Behaviour.CUT_AFTER])], tmp_path))
    assert (verdict, captures) == ("violated", 1)
