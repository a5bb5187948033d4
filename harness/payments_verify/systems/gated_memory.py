"""The application over memory, with a scheduling point before each call of its store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from payments_core.application.ports import PaymentStore
from payments_core.domain.values import Instant
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems.application import application_client
from payments_verify.systems.in_process import expire_batch
from payments_verify.systems.logs import only_errors_logged
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.scheduled_store import ScheduledStore, StoreHolder
from pgweave.scheduler import Limits

MakeStore: TypeAlias = Callable[[Callable[[], Instant]], PaymentStore]
"""Makes a store that decides by the given clock."""

IN_MEMORY = "in memory"
"""The service's name."""

_LIMITS = Limits(stall=10)
"""Who is let go on comes to the next step within two turns of the event loop: nothing in between waits."""


@asynccontextmanager
async def gated_in_memory(make_store: MakeStore = InMemoryPaymentStore) -> AsyncIterator[ServiceUnderTest]:
    """The application in this process over a store in memory, which decides by a clock of its own.

    Args:
        make_store: the store; another than the application's own to see what is found in it.
    """
    instant = [0]

    async def set_clock(now: int) -> None:
        instant[0] = now

    store = ScheduledStore(make_store(lambda: instant[0]))
    with only_errors_logged():
        yield ServiceUnderTest(
            IN_MEMORY,
            (application_client(store),),
            set_clock,
            partial(expire_batch, store),
            partial(StoreHolder.open, store),
            limits=_LIMITS,
        )
