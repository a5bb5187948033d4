"""The client library where the harness has its own client: captures are its to send, and to send again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx

from payments_client import AsyncPaymentsClient, Policy, Refused, Unavailable, Unknown
from payments_model import Outcome
from payments_verify.binding import BoundClient, outcomes_by_name
from payments_verify.binding.values import read_rfc3339
from payments_verify.payments.observed.observations import Invocation, Observation, answered
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems.asgi import ApplicationClient
from tests.support.witnesses import unwitnessed

POLICY = Policy(deadline_s=60, attempt_s=30, first_wait_s=0.001, longest_wait_s=0.01)


@dataclass(frozen=True)
class LibraryClient:
    """A client of the harness whose captures are the library's.

    Attributes:
        own: the client of the harness.
        library: what sends captures.
    """

    own: BoundClient
    library: AsyncPaymentsClient

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command; a capture until the library says what became of it."""
        if invocation.f != "capture":
            return await self.own.send(invocation)
        # A retry within the library is no operation of the history, so that a replay is not one either.
        observed = await captured(self.library, invocation)
        return replace(observed, value={k: v for k, v in observed.value.items() if k != "replayed"})


async def captured(library: AsyncPaymentsClient, invocation: Invocation) -> Observation:
    """What the library makes of a capture, in the model's terms."""
    value = invocation.value
    try:
        capture = await library.capture(UUID(value["payment"]), value["amount"], value["key"])
    except Refused as refused:
        seen: dict[str, Any] = {"replayed": refused.replayed}
        if refused.problem.decided_at is not None:
            seen["decided_at"] = read_rfc3339(refused.problem.decided_at.isoformat())
        return answered(outcomes_by_name()[refused.problem.name], **seen)
    except (Unknown, Unavailable) as error:
        return Observation("unknown", {"error": str(error)})
    decided_at = read_rfc3339(capture.captured_at.isoformat())
    return answered(Outcome.CAPTURED, decided_at=decided_at, replayed=capture.replayed)


def with_library(service: ServiceUnderTest) -> ServiceUnderTest:
    """A service of the harness, captured by the library; retries follow at once."""
    client = unwitnessed(service.client)
    http = client.http
    assert isinstance(http, ApplicationClient)
    library = AsyncPaymentsClient(
        "http://payments",
        token=http.headers["Authorization"].removeprefix("Bearer "),
        policy=POLICY,
        transport=httpx.ASGITransport(http.app),
        sleep=soon,
    )
    # The witness does not see what the library sends, and cannot count it.
    return replace(service, clients=(LibraryClient(client, library),), surface=None)


async def soon(_seconds: float) -> None:
    """Let others run, and do not wait."""
    await asyncio.sleep(0.001)
