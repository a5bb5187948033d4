"""What the environment names is for others: no proxy, certificate or password of it is the client's."""

from __future__ import annotations

import ssl
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from payments_client import AsyncPaymentsClient, PaymentsClient, Policy, Refused, Unavailable
from tests.client.conftest import Blocking
from tests.support import hostile_environment
from tests.support.hostile_server import HostileServer, Shape, answer, drip

pytestmark = pytest.mark.anyio
POLICY = Policy(deadline_s=5.0, first_wait_s=10.0)
MISSING = b'{"type": "/problems/payment_not_found", "status": 404}'


CERTIFICATE = Path(__file__).parent / "loopback.pem"
"""A certificate for 127.0.0.1 that signs itself, and its key; made by ``openssl ca``, for a century."""


def client_of(flavour: str, url: str, **more: Any) -> Any:
    options: dict[str, Any] = {"policy": POLICY, "draw": lambda _low, high: high, **more}
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


HANDSHAKES: dict[str, Shape] = {
    "nothing for ever": lambda: repeat(b""),
    "a record in drips": lambda: drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 9_999),
    "no TLS": lambda: [b"HTTP/1.1 400 X"],
}


@pytest.mark.parametrize("flavour", ["blocking", "asyncio"])
async def test_whom_to_trust_is_an_argument(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(CERTIFICATE)
    with HostileServer.opened(served) as server:
        server.shape = lambda: answer(404, MISSING, content_type="application/problem+json")
        url = server.url.replace("http:", "https:")
        stranger = client_of(flavour, url)
        with pytest.raises(Unavailable, match="ConnectError"):
            await stranger.capture(UUID(int=7), 500)
        await stranger.close()
        assert server.requests == []
        trusting = client_of(flavour, url, tls=ssl.create_default_context(cafile=str(CERTIFICATE)))
        with pytest.raises(Refused):
            await trusting.read(UUID(int=7))
        await trusting.close()


@pytest.mark.parametrize("flavour", ["blocking", "asyncio"])
@pytest.mark.parametrize("shape", HANDSHAKES.values(), ids=HANDSHAKES)
async def test_a_handshake_that_does_not_end_is_no_connection(flavour: str, shape: Shape) -> None:
    with HostileServer.opened() as server:
        server.shape = shape
        # The connection's limit is nine tenths of this, and comes first on a busy machine too.
        policy = Policy(deadline_s=4.0, first_wait_s=5.0)
        client = client_of(flavour, server.url.replace("http:", "https:"), policy=policy)
        with anyio.fail_after(30), pytest.raises(Unavailable, match="nothing was done"):
            await client.capture(UUID(int=7), 500)
        await client.close()
