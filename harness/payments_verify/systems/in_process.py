"""The application in this process, over memory and over PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import cast

from payments_core.application.ports import DuePayments, PaymentStore
from payments_core.application.use_cases import ExpirePayments
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.sweeper import Sweeper
from payments_core.entrypoints.wiring import make_pool, postgres_store
from payments_verify.binding import own_client
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.service.row_holders import SqlRowHolder
from payments_verify.payments.service.under_test import ServiceUnderTest, SweeperEndedError
from payments_verify.surface import FirstAnswers, OwnSurface
from payments_verify.systems.application import OwnTokens, witnessed
from payments_verify.systems.copies import wiring_of
from payments_verify.systems.logs import only_errors_logged
from payments_verify.systems.memory_store import InMemoryPaymentStore
from pgweave.clock import DatabaseClock

_SWEEP_BATCH = 100
_SWEEP_LIMIT_S = 3_600.0  # its statements may be held
_SWEEP_TRIES = 20
"""How many batches the sweeper's own task may begin: one fault costs it one or two."""


@asynccontextmanager
async def in_memory(max_stored_refusals: int = MAX_STORED_REFUSALS) -> AsyncIterator[ServiceUnderTest]:
    """The application over the in-memory store, with a clock of its own."""
    instant = [0]

    async def set_clock(now: int) -> None:
        instant[0] = now

    store = InMemoryPaymentStore(lambda: instant[0])
    with only_errors_logged():
        answers: FirstAnswers = {}
        made = OwnTokens.make()
        witnesses = [witnessed(store, max_stored_refusals, answers, made) for _ in range(2)]
        yield ServiceUnderTest(
            "in memory",
            tuple(map(own_client, witnesses)),
            set_clock,
            partial(expire_batch, store),
            traits=replace(EVERYTHING, max_stored_refusals=max_stored_refusals),
            is_new=True,
            surface=OwnSurface(witnesses, made.of_scope),
        )


@asynccontextmanager
async def in_process(
    dsn: str, max_stored_refusals: int = MAX_STORED_REFUSALS, direct: str | None = None
) -> AsyncIterator[ServiceUnderTest]:
    """The application over PostgreSQL, twice in this process; the database has a clock that can be set.

    Args:
        dsn: where the application connects.
        max_stored_refusals: how many refused captures of a payment are stored.
        direct: the database itself, for the harness's own sessions, where ``dsn`` is that of a pooler.
    """
    own = direct or dsn
    copy = wiring_of(1)
    with only_errors_logged():
        async with (
            make_pool(Settings(database_url=dsn)) as first,
            make_pool(Settings(database_url=dsn)) as second,
            copy.make_pool(copy.Settings(database_url=dsn)) as third,
            DatabaseClock.connect(own) as clock,
        ):
            # Two that share nothing but the database, as two processes do: each sees what the other leaves.
            stores = [postgres_store(pool) for pool in (first, second)]
            answers: FirstAnswers = {}
            made = OwnTokens.make()
            witnesses = [witnessed(store, max_stored_refusals, answers, made) for store in stores]
            # In a container the next process has the same number as the one before: so has this copy.
            again = witnessed(copy.postgres_store(third), made_tokens=made, instance=1)
            yield ServiceUnderTest(
                "in process, PostgreSQL",
                tuple(map(own_client, witnesses)),
                clock.set,
                partial(expire_batch, stores[0]),
                partial(SqlRowHolder.connect, own),
                traits=replace(EVERYTHING, max_stored_refusals=max_stored_refusals),
                surface=OwnSurface(witnesses, made.of_scope, begun_again=[again]),
            )


class _PatientStore:
    """The part of a store that a sweeper uses; whoever has begun too many batches is cancelled."""

    def __init__(self, store: PaymentStore) -> None:
        self.is_conflict = store.is_conflict
        self._store = store
        self._tries = 0

    @asynccontextmanager
    async def lock_due(self, limit: int) -> AsyncIterator[DuePayments]:
        self._tries += 1
        if self._tries > _SWEEP_TRIES:
            raise asyncio.CancelledError
        async with self._store.lock_due(limit) as due:
            yield due


async def sweep_by_itself(store: PaymentStore) -> int:
    """Let the service's sweeper sweep once, in the task that no request asks for; how many it expired.

    What fails the task tries again by itself.

    Raises:
        SweeperEndedError: the task ended before it had swept, or failed again and again.
    """
    expired: list[int] = []
    has_swept = False

    def end() -> None:
        nonlocal has_swept
        has_swept = True
        task.cancel()

    patient = cast("PaymentStore", _PatientStore(store))
    sweeper = Sweeper(patient, 0.0, _SWEEP_BATCH, _SWEEP_LIMIT_S, expired.append, end)
    async with sweeper.running() as task:
        await asyncio.wait([task])
    if not has_swept:
        raise SweeperEndedError("the sweeper's task ended before it had swept, or failed again and again")
    return sum(expired)


async def expire_batch(store: PaymentStore) -> int:
    """Expire some payments that are due and not locked; how many."""
    return len(await ExpirePayments(store)(_SWEEP_BATCH))
