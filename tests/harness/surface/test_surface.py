"""What a service shows beside outcomes is compared; each check sees what it is there for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from payments_core.domain.payment import Payment
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.metrics import Metrics
from payments_verify.binding import Http, Response
from payments_verify.binding.http import HttpAnswer
from payments_verify.payments.observed.observations import UnreadableAnswerError
from payments_verify.payments.programs.run import run_machine
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.surface import FirstAnswers, OwnSurface, Witness
from payments_verify.surface.counters import wrong_counters
from payments_verify.surface.liveness import stopped
from payments_verify.systems import application, in_memory
from payments_verify.systems.in_process import expire_batch
from payments_verify.systems.memory_store import InMemoryPaymentStore

Bend = Callable[[str, str, HttpAnswer], HttpAnswer]
_ANOTHER = "2030-01-01T00:00:00.000001Z"
KEY = {"Idempotency-Key": "k1"}


class Bent:
    """Carries requests to an application, and changes its answers."""

    def __init__(self, http: Http, bend: Bend) -> None:
        self._http = http
        self._bend = bend

    async def request(self, method: str, path: str, /, **asked: Any) -> Response:
        answer = await self._http.request(method, path, **asked)
        if "json" not in asked:  # written out: not what is looked at here
            return answer
        return self._bend(method, path, HttpAnswer(answer.status_code, answer.headers, answer.content))


def as_it_is(_method: str, _path: str, answer: HttpAnswer) -> HttpAnswer:
    return answer


def witness(bend: Bend = as_it_is) -> Witness:
    made = application.witnessed(InMemoryPaymentStore(lambda: 1_000_000_000))
    made.http = Bent(made.http, bend)
    return made


async def life(http: Http) -> str:
    """A payment that was refused, authorized, captured, and refused again, some of it twice."""
    payment = str(uuid4())
    path = f"/payments/{payment}"

    async def send(method: str, end: str, json: Mapping[str, Any] | None = None, key: str = "") -> None:
        headers = {"Idempotency-Key": key} if key else {}
        await http.request(method, path + end, headers=headers, json=json)

    await send("PUT", "", {"amount_cents": 5})
    for key in ("k1", '"k1"'):
        await send("POST", "/captures", {"amount_cents": 5}, key)
    await send("POST", "/authorize", {"capture_window_seconds": 5})
    for key in ("k2", '"k2"', "k3"):
        await send("POST", "/captures", {"amount_cents": 5}, key)
    await send("POST", "/captures", {"amount_cents": 6}, "k2")
    await send("POST", "/fail", {"reason": "voided"})
    await send("GET", "")
    await send("GET", "/captures?limit=1")
    await send("GET", "/captures?limit=x")
    return payment


def test_the_service_as_it_is() -> None:
    async def run() -> None:
        made = witness()
        payments = [await life(made) for _ in range(3)]
        surface = OwnSurface([made])
        for _ in range(3):  # with pages of 1, 2 and 3
            assert await surface.lists(payments) is None
        assert await surface.counters() is None
        assert await surface.race() is None
        assert made.decided == {"not_authorized": 3, "captured": 3, "already_captured": 3}
        assert made.repeated == {"not_authorized": 3, "captured": 3}

    asyncio.run(run())


def with_header(name: str, value: str | None, where: Callable[[str, str, HttpAnswer], bool]) -> Bend:
    def bend(method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        if not where(method, path, answer):
            return answer
        others = {each: given for each, given in answer.headers.items() if each != name}
        return replace(answer, headers=others if value is None else {**others, name: value})

    return bend


def with_member(name: str, value: object, problem: str) -> Bend:
    def bend(_method: str, _path: str, answer: HttpAnswer) -> HttpAnswer:
        document = msgspec.json.decode(answer.content)
        if document.get("type") != f"/problems/{problem}":
            return answer
        content = msgspec.json.encode({**document, name: value})
        length = {"content-length": str(len(content))}
        return replace(answer, content=content, headers={**answer.headers, **length})

    return bend


def without_nulls(method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
    """Leaves out what a payment has not, as Go's omitempty does."""
    document = msgspec.json.decode(answer.content)
    if "state" not in document:
        return answer
    content = msgspec.json.encode({name: each for name, each in document.items() if each is not None})
    with_length = with_header("content-length", str(len(content)), lambda *_: True)
    return replace(with_length(method, path, answer), content=content)


def without_captures(method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
    """Shows a list as Go does that has none."""
    document = msgspec.json.decode(answer.content)
    if "captures" not in document:
        return answer
    content = msgspec.json.encode({"captures": None, "next": None})
    with_length = with_header("content-length", str(len(content)), lambda *_: True)
    return replace(with_length(method, path, answer), content=content)


def with_body(content: bytes, where: Callable[[str, str, HttpAnswer], bool]) -> Bend:
    """Answers what nobody can read."""

    def bend(method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        headers = {**answer.headers, "content-length": f"{len(content)}"}
        return replace(answer, content=content, headers=headers) if where(method, path, answer) else answer

    return bend


def without_next(method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
    """Leaves out that no page follows, as who leaves out nulls does."""
    document = msgspec.json.decode(answer.content) if path.startswith("/payments") else {}
    if document.get("next", "") is not None:
        return answer
    del document["next"]
    content = msgspec.json.encode(document)
    return with_body(content, lambda *_: True)(method, path, answer)


def created(method: str, _path: str, answer: HttpAnswer) -> bool:
    return method == "PUT" and answer.status_code == 201


def replayed(_method: str, _path: str, answer: HttpAnswer) -> bool:
    return "idempotent-replayed" in answer.headers


def refused(_method: str, _path: str, answer: HttpAnswer) -> bool:
    return answer.status_code >= 400


BENT: dict[str, tuple[Bend, str]] = {
    "a replay has a header more": (with_header("vary", "accept", replayed), "header vary"),
    "a replay has a header less": (with_header("x-request-id", None, replayed), "no header x-request-id"),
    "a replay says it otherwise": (
        with_header("idempotent-replayed", "1", replayed),
        "Idempotent-Replayed is '1'",
    ),
    "a replay does not say it": (with_header("idempotent-replayed", None, replayed), "counted"),
    "a problem of another media type": (
        with_header("content-type", "application/json", refused),
        "content-type",
    ),
    "a read may be kept": (
        with_header("cache-control", None, lambda method, *_: method == "GET"),
        "header cache-control: expected 'no-store', got None",
    ),
    "a creation without its place": (
        with_header("location", None, lambda m, *_: m == "PUT"),
        "header location",
    ),
    "no link to the next page": (with_header("link", None, lambda *_: True), "header link"),
    "a wrong length": (with_header("content-length", "3", lambda *_: True), "content-length is 3"),
    "another title": (
        with_member("title", "It failed", "already_captured"),
        "and title 'The payment is captured",
    ),
    "another status inside": (with_member("status", 400, "not_authorized"), "expected status 409"),
    "a type of its own": (with_member("type", "/problems/other", "invalid_query"), "none of the contract's"),
    "an instant without its fraction": (
        with_member("decided_at", "2030-01-01T00:00:00Z", "already_captured"),
        "six digits of a second",
    ),
    "null for no captures": (without_captures, "captures is None, and no list"),
    "nulls left out": (without_nulls, "a payment has no authorized_at, capture_expires_at, captured_amount"),
    "a creation that is null": (with_body(b"null", created), "no JSON object: 'null'"),
    "a creation that is a list": (with_body(b"[]", created), "no JSON object: '[]'"),
    "a creation of nothing": (with_body(b"{}", created), "header location"),
    "a refusal that is text": (with_body(b"Conflict", refused), "no JSON object: 'Conflict'"),
    "a replay that is text": (with_body(b"{", replayed), "no JSON object: '{'"),
    "a payment without its state": (
        with_body(b'{"id": 1}', lambda method, *_: method == "GET"),
        "it has no as_of and no state",
    ),
    "payments that are none": (
        with_body(b'{"captures":[1],"next":null}', lambda _, path, __: path.endswith("limit=1")),
        "no list of objects",
    ),
    "the id of another request": (
        with_header("x-request-id", "another", lambda *_: True),
        "and the answer has 'another'",
    ),
    "no detail": (with_member("detail", "", "idempotency_key_reused"), "has no detail"),
}


@pytest.mark.parametrize("name", BENT)
def test_an_answer_that_is_wrong_beside_its_outcome(name: str) -> None:
    bend, told = BENT[name]

    async def run() -> str:
        made = witness(bend)
        try:
            await life(made)
        except UnreadableAnswerError as error:
            return str(error)
        return str(await wrong_counters(made))

    assert told in asyncio.run(run())


@pytest.mark.parametrize("bend", [without_next, with_body(b"null", lambda m, *_: m == "GET")])
def test_a_list_that_cannot_be_read_is_a_violation(bend: Bend) -> None:
    async def run() -> None:
        made = witness(bend)
        payments = [await life(made.http) for _ in range(2)]
        surface = OwnSurface([made])
        for told in (await surface.lists(payments), await surface.pages(payments), await surface.race()):
            assert re.match(r"I8: GET /payments\?limit=\S+, 200: (it has no next|the body is no)", told or "")

    asyncio.run(run())


def test_a_failure_is_no_wrong_answer_and_left_to_who_asked() -> None:
    failed = problems.response(problems.INTERNAL_ERROR, "it failed")

    def failing(_method: str, _path: str, answer: HttpAnswer) -> HttpAnswer:
        return HttpAnswer(failed.status_code, {**answer.headers, **failed.headers}, bytes(failed.body))

    def failing_with_text(_method: str, _path: str, answer: HttpAnswer) -> HttpAnswer:
        return replace(answer, status_code=500, content=b"Internal Server Error")

    async def asked(bend: Bend) -> int:
        return (await witness(bend).request("GET", "/payments", headers={}, json=None)).status_code

    assert asyncio.run(asked(failing)) == 500
    with pytest.raises(UnreadableAnswerError, match="no JSON object"):
        asyncio.run(asked(failing_with_text))


def test_a_replay_is_the_first_answer_whichever_process_repeats_it() -> None:
    async def run() -> None:
        store = InMemoryPaymentStore(lambda: 1_000_000_000)
        first: FirstAnswers = {}
        one, other = (application.witnessed(store, first=first) for _ in range(2))
        other.http = Bent(other.http, with_header("x-served-by", "b", replayed))
        path = f"/payments/{uuid4()}"
        await one.request("PUT", path, headers={}, json={"amount_cents": 5})
        await one.request("POST", f"{path}/captures", headers=KEY, json={"amount_cents": 5})
        await other.request("POST", f"{path}/captures", headers=KEY, json={"amount_cents": 5})

    with pytest.raises(UnreadableAnswerError, match="x-served-by"):
        asyncio.run(run())


# ---- counters ------------------------------------------------------------------------------------


def counted_otherwise(pattern: str, by: str) -> Bend:
    def bend(_method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        if path != "/metrics":
            return answer
        changed, times = re.subn(pattern, by, answer.text, count=1)
        assert times
        return replace(answer, content=changed.encode())

    return bend


@pytest.mark.parametrize(
    ("pattern", "by", "told"),
    [
        (
            r'(captures_total\{outcome="captured"\}) 1.0',
            r"\1 2.0",
            "captured: 1 were answered, 2 are counted",
        ),
        (r'(replays_total\{outcome="not_authorized"\}) 1.0', r"\1 0.0", "captures repeated: not_authorized"),
        (r'(_count\{method="PUT".*\}) 1.0', r"\1 3.0", "requests: .*'PUT'.*1 were answered, 3 are counted"),
        (r"(requests_in_flight) 1.0", r"\1 2.0", "requests in flight: expected 1, got 2"),
    ],
)
def test_a_counter_that_says_otherwise(
    pattern: str, by: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.surface.counters._SETTLED_S", 0.0)

    async def run() -> str | None:
        made = witness(counted_otherwise(pattern, by))
        await life(made)
        return await OwnSurface([made]).counters()

    complaint = asyncio.run(run())
    assert complaint is not None
    assert complaint.startswith("I12: ")
    assert re.search(told, complaint)


def declared(**fields: str) -> Bend:
    """Has other header fields than the metrics have; ``_`` stands for ``-``."""
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda _method, _path, answer: replace(answer, headers={**answer.headers, **given})


@pytest.mark.parametrize(
    ("bend", "told"),
    [
        (declared(content_type="application/openmetrics-text; version=1.0.0"), "it cannot be read"),
        (declared(content_type="text/html; version=1"), "content-type is 'text/html"),
        (declared(content_type="text/plain"), "content-type is 'text/plain'"),
        (declared(cache_control="max-age=60"), "cache-control is 'max-age=60'"),
        (declared(x_content_type_options=""), "x-content-type-options is ''"),
        (counted_otherwise("conflicts_total counter", "conflicts_total gauge"), "is declared as gauge"),
        (counted_otherwise("_wait_seconds histogram", "_wait_seconds summary"), "and is a histogram"),
        (counted_otherwise("# TYPE payments_http_requests_in_flight .*\n", ""), "and is a gauge"),
        (counted_otherwise(r"(requests_in_flight) \d.*", r"\1 one"), "it cannot be read"),
    ],
)
def test_metrics_that_no_scraper_takes(bend: Bend, told: str) -> None:
    complaint = asyncio.run(OwnSurface([witness(bend)]).counters())
    assert complaint is not None
    assert complaint.startswith("I12: a scraper does not take the metrics: ")
    assert told in complaint


# ---- lists ---------------------------------------------------------------------------------------


def in_list(change: Callable[[list[Any]], list[Any]]) -> Bend:
    def bend(_method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        if not path.startswith("/payments?"):
            return answer
        document = msgspec.json.decode(answer.content)
        content = msgspec.json.encode({**document, "payments": change(document["payments"])})
        return replace(
            answer, content=content, headers={**answer.headers, "content-length": f"{len(content)}"}
        )

    return bend


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: [each for each in page if each["state"] != "captured"], "is not in the list"),
        (lambda page: page + page[:1], "twice"),
        (lambda _: [], "is not in the list|the page of a `next` is empty"),
        (lambda page: [{**each, "amount_cents": 6} for each in page], "and in the list"),
        (lambda page: [{**each, "created_at": _ANOTHER} for each in page], "not in order|and in the list"),
    ],
    ids=["missing", "twice", "empty", "another amount", "order"],
)
def test_a_list_that_is_not_the_payments(change: Callable[[list[Any]], list[Any]], told: str) -> None:
    async def run() -> str | None:
        made = witness(in_list(change))
        payments = [await life(made) for _ in range(3)]
        return await OwnSurface([made]).lists(payments)

    complaint = asyncio.run(run())
    assert complaint is not None
    assert complaint.startswith("I8: ")
    assert re.search(told, complaint)


def test_a_page_of_another_clock() -> None:
    def bend(_method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        content = re.sub(rb'"as_of":"[^"]*"', f'"as_of":"{_ANOTHER}"'.encode(), answer.content)
        return replace(answer, content=content) if path.startswith("/payments?") else answer

    async def run() -> str | None:
        made = witness(bend)
        return await OwnSurface([made]).lists([await life(made)])

    told = asyncio.run(run()) or ""
    assert told.startswith(f"I8: GET /payments?limit=1 is as of {_ANOTHER}, and GET /payments/")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: [each for each in page if each["state"] != "failed"], "is not|a `next` is empty"),
        (lambda page: [{**each, "state": "pending"} for each in page], "is pending in the list"),
        (lambda page: page + page[-1:], "twice"),
    ],
    ids=["missing", "earlier state", "twice"],
)
def test_a_list_that_is_wrong_while_others_write(change: Callable[[list[Any]], list[Any]], told: str) -> None:
    complaint = asyncio.run(OwnSurface([witness(in_list(change))]).race())
    assert re.search(told, complaint or "")


def test_the_machine_looks_at_the_surface_and_tells_the_invariant(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing_is_counted(_self: OwnSurface) -> str:
        return "I12: nothing is counted"

    monkeypatch.setattr(OwnSurface, "counters", nothing_is_counted)
    with asyncio.Runner() as runner:
        context = in_memory()
        system = runner.run(context.__aenter__())
        _, mismatch = run_machine(system, runner, examples=3, steps=3, seed=1)
        runner.run(context.__aexit__(None, None, None))
    assert isinstance(mismatch, MismatchError)
    assert mismatch.breaks == {"I12"}


# ---- expiry --------------------------------------------------------------------------------------


Sweep = Callable[[InMemoryPaymentStore], Awaitable[int]]


async def nothing(_store: InMemoryPaymentStore) -> int:
    return 0


async def unless_some_are_held(store: InMemoryPaymentStore) -> int:
    due = [each for each in store.kept_payments.values() if each.state == "authorized"]
    return 0 if len(due) > len([each async for each in free(store, due)]) else await expire_batch(store)


async def free(store: InMemoryPaymentStore, due: Sequence[Payment]) -> AsyncIterator[Payment]:
    async with store.lock_due(len(due) + 1) as locked:
        for each in locked.payments:
            yield each


@pytest.mark.parametrize(
    ("sweep", "counts", "told"),
    [
        (expire_batch, 1, None),
        (nothing, 1, "has not expired by itself for 0.3 s, while others hold 3"),
        (unless_some_are_held, 1, "has not expired by itself for 0.3 s, while others hold 3"),
        (expire_batch, 2, "I12: 1 payment has expired by itself, and 2 are counted"),
        (expire_batch, 0, "I12: 1 payment has expired by itself, and 0 are counted"),
    ],
)
def test_what_expires_by_itself(sweep: Sweep, counts: int, told: str | None) -> None:
    now = [1_000_000_000]
    done = {"sweeps": 1, "expired": 0}

    async def run() -> str | None:
        store = InMemoryPaymentStore(lambda: now[0])
        made = application.witnessed(store)
        made.http = Bent(made.http, with_sweeps)

        async def sweep_forever() -> None:
            while True:
                done["expired"] += counts * await sweep(store)
                done["sweeps"] += 1
                await asyncio.sleep(0.01)

        async def set_clock(instant: int) -> None:
            now[0] = instant

        @asynccontextmanager
        async def hold(payment: str) -> AsyncIterator[None]:
            async with store.lock(UUID(payment)):
                yield

        sweeping = asyncio.create_task(sweep_forever())
        try:
            # It would be due when the one is that is counted.
            path, window = f"/payments/{uuid4()}", {"capture_window_seconds": 2}
            await made.request("PUT", path, headers={}, json={"amount_cents": 7})
            await made.request("POST", f"{path}/authorize", headers={}, json=window)
            return await OwnSurface([made]).expiry(set_clock, hold, 0.3)
        finally:
            sweeping.cancel()

    def with_sweeps(_method: str, path: str, answer: HttpAnswer) -> HttpAnswer:
        if path != "/metrics":
            return answer
        text = "payments_last_sweep_timestamp_seconds {sweeps}\npayments_expired_total {expired}.0\n"
        return replace(answer, content=text.format(**done).encode())

    complaint = asyncio.run(run())
    assert (told in complaint) if told is not None and complaint is not None else complaint == told


def test_a_counter_of_seconds_in_another_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Metrics.request_ended

    def in_milliseconds(self: Metrics, method: str, route: str, status: str, seconds: float) -> None:
        counted(self, method, route, status, seconds * 1_000)

    monkeypatch.setattr(Metrics, "request_ended", in_milliseconds)

    async def run() -> str | None:
        made = witness()
        for _ in range(50):
            await life(made)
        return await wrong_counters(made)

    assert "http_request_duration is" in (asyncio.run(run()) or "")


def test_a_process_in_which_something_has_stopped_is_told_of() -> None:
    async def run() -> str | None:
        made = witness()
        made.http = Bent(made.http, says_stopped)
        return await stopped(made)

    assert asyncio.run(run()) == "I9: a process says that something has stopped: sweeper"


def says_stopped(_method: str, _path: str, answer: HttpAnswer) -> HttpAnswer:
    more = b'payments_background_task_running{task="sweeper"} 0.0\n'
    return replace(answer, content=answer.content + more)
