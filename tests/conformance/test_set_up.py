"""What comes before a payment and is refused says nothing of the service: there is no verdict."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from payments_verify.binding import BoundClient, Names, default_text, parse
from payments_verify.cli import app
from payments_verify.payments.observed.observations import Invocation, Observation
from payments_verify.payments.races.actors import send
from payments_verify.payments.service.under_test import SetUpError
from payments_verify.systems.kept_http import KeepingSender
from pgweave.service.command import running_command
from tests.docs.pages import ROOT

SUPPORT = ROOT / "tests" / "support"
CREATE = Invocation("create", {"payment": "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11", "amount": 500})
ORDER = '\n[[setup]]\nbefore = "create"\nrequest = "POST /orders"\nsave = { order = "id" }\n'


@pytest.mark.parametrize("level", ["1", "3"])
def test_an_order_that_is_refused_is_no_verdict_with_its_reason(level: str, tmp_path: Path) -> None:
    text = (SUPPORT / "orders.toml").read_text().replace("{customer}", "nobody")
    (tmp_path / "mine.toml").write_text(text)

    async def run() -> Result:
        async with running_command(f"exec {sys.executable} {SUPPORT}/orders_service.py", {}) as running:
            asked = ["conformance", "--url", running.url, "--binding", f"{tmp_path}/mine.toml", "--quick"]
            return await asyncio.to_thread(CliRunner().invoke, app, [*asked, "--level", level, "--seed", "1"])

    done = asyncio.run(run())
    assert done.exit_code == 2, done.output
    assert "violated" not in done.output
    assert "setup: POST /orders was answered 401" in done.output


def client_of(answer: Callable[[httpx.Request], httpx.Response]) -> BoundClient:
    transport = httpx.MockTransport(answer)
    http = httpx.AsyncClient(transport=transport, base_url="http://service")
    return BoundClient(
        http, parse(default_text() + ORDER, "mine.toml"), Names(saved={"token": "of-a-session"})
    )


@pytest.mark.parametrize(("status", "hurt"), [(422, False), (422, True), (503, False)])
def test_one_that_is_refused_is_no_answer_to_the_command(status: int, hurt: bool) -> None:
    client = client_of(lambda _: httpx.Response(status, text="not for of-a-session"))
    sender = KeepingSender(client, lambda: {"of-a-session": "TOKEN"})
    with pytest.raises(SetUpError, match=rf"POST /orders was answered {status}: not for \$\{{TOKEN\}}$"):
        asyncio.run(send(sender, CREATE, hurt=hurt))


def test_one_that_fails_where_something_is_broken_on_purpose_is_asked_again() -> None:
    client = client_of(lambda _: httpx.Response(503))
    assert asyncio.run(send(KeepingSender(client), CREATE, hurt=True)).kind == "unknown"


def test_one_without_an_answer_is_told_as_a_command_without_one() -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens", request=request)

    seen = asyncio.run(client_of(refused).send(CREATE))
    assert seen == Observation("unknown", {"error": "ConnectError"})
