"""Both clients behind one face, and the service that they talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio.to_thread
import pytest

from payments_client import AsyncPaymentsClient, PaymentsClient, Policy
from payments_core.entrypoints.http.app import create_app
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.misbehaving import Front
from tests.support.stores import NOON
from tests.support.threads import served


class Blocking:
    """A `PaymentsClient` whose methods are called in a thread, and so can be awaited."""

    def __init__(self, client: PaymentsClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            return await anyio.to_thread.run_sync(partial(getattr(self._client, name), *arguments, **named))

        return call


class Waited:
    """Waits that take no time.

    Attributes:
        seconds: how long each would have been.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    async def sleep_soon(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def store() -> InMemoryPaymentStore:
    return InMemoryPaymentStore(lambda: NOON)


@pytest.fixture
def front(store: InMemoryPaymentStore) -> Iterator[Front]:
    """The service on a socket, and before it a server that can be told to misbehave."""
    with served(create_app(store)) as url, Front.before(url) as opened:
        yield opened


@pytest.fixture
def waited() -> Waited:
    return Waited()


@pytest.fixture(params=["blocking", "asyncio"])
async def payments(request: pytest.FixtureRequest, front: Front, waited: Waited) -> AsyncIterator[Any]:
    """Each client in turn: what holds for one holds for the other."""
    policy = Policy(deadline_s=30, attempt_s=0.5)
    if request.param == "blocking":
        with PaymentsClient(front.url, policy=policy, sleep=waited.sleep) as client:
            yield Blocking(client)
    else:
        async with AsyncPaymentsClient(front.url, policy=policy, sleep=waited.sleep_soon) as other:
            yield other
