"""A process at its limits, without tokens, and as it ends: as it is, and with bugs that show only there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

import payments_core
from lab.mutants.plan import copies
from payments_verify.payments.observed.observations import UnreadableAnswerError
from payments_verify.surface import Witness
from payments_verify.surface.at_limits import broken_at_limits
from payments_verify.systems.server import lone_process
from tests.support.mutants import CATALOGUE

_BUSY = b'{"type":"/problems/payment_busy","title":"Others hold the payment","status":503,"detail":"later"}'
_FIELDS = {
    "Content-Type": "application/problem+json",
    "X-Content-Type-Options": "nosniff",
    "X-Request-ID": "1",
    "Cache-Control": "no-store",
}
BUGS = {
    "ends-without-grace": "I9, I11: SIGTERM, and a request in flight was answered 500",
    "busy-without-retry-after": "I9, I11: 503 payment_busy: header retry-after: expected '1', got None",
    "deadline-told-as-overloaded": "I9, I11: no request at a limit was answered deadline_exceeded, but: ",
    "health-refused-under-load": "I9: a process that has as much to do as it may answers /healthz with ",
    "waits-for-its-sweeper-at-the-end": "I9: SIGTERM, and the process has not ended for 15 s",
    "any-host-without-tokens": "I2, I11: without tokens, /payments/{payment} with 'Host: ",
    "forwarded-fields-believed": "I2, I11: without tokens, /payments/{payment} with 'Host: ",
    "origin-null-taken-for-none": "I2, I11: without tokens, /payments/{payment} with 'Host: ",
    "paths-in-the-log": "I11: a process has printed the path, the payment: ",
    "paths-in-the-servers-own-log": "I11: a process has printed the path, the payment: ",
}


def told(dsn: str) -> str | None:
    async def run() -> str | None:
        async with lone_process(dsn, dsn) as process:
            return await broken_at_limits(process)

    return asyncio.run(run())


def test_the_service_as_it_is(exploring_dsn: str) -> None:
    assert told(exploring_dsn) is None


@pytest.mark.long
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_told(bug: str, exploring_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = copies(Path(payments_core.__file__).parent, tmp_path, CATALOGUE, [bug])[bug]
    monkeypatch.setenv("PYTHONPATH", str(tree))
    assert (told(exploring_dsn) or "").startswith(BUGS[bug])


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"Retry-After": "1"}, None),
        ({}, "header retry-after: expected '1', got None"),
        ({"Retry-After": "0"}, "header retry-after: expected '1', got '0'"),
        (
            {"Retry-After": "1", "Cache-Control": "public"},
            "header cache-control: expected 'no-store', got 'public'",
        ),
    ],
)
def test_the_fields_of_every_503_are_compared(more: dict[str, str], wrong: str | None) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, headers={**_FIELDS, **more}, content=_BUSY)

    async def run() -> str | None:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
            try:
                await Witness(http).request("GET", "/payments", headers={}, json=None)
            except UnreadableAnswerError as error:
                return str(error)
        return None

    heard = asyncio.run(run())
    assert heard == (None if wrong is None else f"GET /payments, 503: {wrong}")
