"""What the environment names is for others: no proxy, certificate or password of it is the client's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from payments_core.client import AsyncPaymentsClient, PaymentsClient, Policy, Refused, Unavailable
from tests.client.conftest import Blocking
from tests.support import hostile_environment
from tests.support.hostile_server import HostileServer, answer

pytestmark = pytest.mark.anyio
POLICY = Policy(deadline_s=5.0, first_wait_s=10.0)
MISSING = b'{"type": "/problems/payment_not_found", "status": 404}'


def client_of(flavour: str, url: str) -> Any:
    options: dict[str, Any] = {"policy": POLICY, "draw": lambda _low, high: high}
    if flavour == "blocking":
        return Blocking(PaymentsClient(url, "token", **options))
    return AsyncPaymentsClient(url, "token", **options)


@pytest.mark.parametrize("name", hostile_environment.NAMES)
@pytest.mark.parametrize("flavour", ["blocking", "asyncio"])
async def test_what_is_sent_is_what_the_program_gave(
    flavour: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hostile_environment.listening_proxy() as (proxy, heard), HostileServer.opened() as server:
        for variable, value in hostile_environment.variables(name, proxy, tmp_path).items():
            monkeypatch.setenv(variable, value)
        server.shape = lambda: answer(404, MISSING, content_type="application/problem+json")
        client = client_of(flavour, server.url)
        with pytest.raises(Refused):
            await client.read(UUID(int=7))
        await client.close()
        # Whom to trust is asked for https alone, and nothing speaks TLS here.
        other = client_of(flavour, server.url.replace("http:", "https:"))
        with pytest.raises(Unavailable, match="ConnectError"):
            await other.read(UUID(int=7))
        await other.close()
    assert heard == []
    sent = server.requests[0].lower()
    assert b"authorization: bearer token\r\n" in sent
    assert b"basic" not in sent
