"""What requests for payments that are held may take from requests for others: a share, and no more.

A request that waits for a lock in PostgreSQL has a connection. Without a bound, those who want one payment
have all of them, and until its holder lets go nobody can use another payment.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from psycopg import errors

from payments_core.infrastructure.postgres.statements import LOCK_FREE_PAYMENT, LOCK_PAYMENT

Result = TypeVar("Result")

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.32


class PaymentHeld(errors.LockNotAvailable):
    """Others hold the payment, and there is no room to wait for it. Nothing was done."""


class _Locking:
    """A round trip that may wait for a lock, if there is room: a generator would cost a capture more."""

    __slots__ = ("_bounds", "_may_wait")

    def __init__(self, bounds: "Contention") -> None:
        self._bounds = bounds

    def __enter__(self) -> bool:
        """Whether it may wait."""
        self._may_wait = self._bounds.waiting_for_locks < self._bounds.connections
        self._bounds.waiting_for_locks += self._may_wait
        return self._may_wait

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._bounds.waiting_for_locks -= self._may_wait
        if isinstance(error, errors.LockNotAvailable) and not self._may_wait:
            raise PaymentHeld("the payment is locked, and as many wait for locks as may") from error


class Contention:
    """Bounds how many requests of this process wait for payments that others hold.

    Args:
        connections: that transactions of one payment may use at once, and that may wait for locks at once,
            whatever they are of.
        requests: that may wait without a connection at once; those beyond are refused.
        patience_s: how long a request waits without a connection, in seconds.
    """

    def __init__(self, connections: int, requests: int, patience_s: float) -> None:
        self.connections = connections
        self.requests = requests
        self.patience_s = patience_s
        self._turns: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()
        self.waiting_for_locks = 0
        self._waiting = 0

    async def turn(self, payment_id: UUID) -> asyncio.Semaphore:
        """Wait for one of the payment's turns, which the caller has to release.

        Raises:
            PaymentHeld: if none comes in time, or too many requests wait already.
        """
        number = payment_id.int  # whose hash is no call of Python's
        turn = self._turns.get(number)
        if turn is None:
            turn = self._turns[number] = asyncio.Semaphore(self.connections)
        if not turn.locked():
            await turn.acquire()  # at once
            return turn
        with self._place():
            try:
                async with asyncio.timeout(self.patience_s):
                    await turn.acquire()
            except TimeoutError:
                raise PaymentHeld("others have had the payment's turns for too long") from None
        return turn

    def locking_statement(self) -> str:
        """The statement that locks a payment: one that waits, unless as many wait as may."""
        return LOCK_PAYMENT if self.waiting_for_locks < self.connections else LOCK_FREE_PAYMENT

    def locking(self) -> "_Locking":
        """Around the round trip of a `locking_statement`, or of another that waits only if it may.

        Raises:
            PaymentHeld: if the statement was not to wait, and would have had to.
        """
        return _Locking(self)

    async def try_again(self, enter: Callable[[], Awaitable[Result]]) -> Result:
        """Call ``enter``, which was refused with `PaymentHeld`, until it is not, each time after a pause.

        Raises:
            PaymentHeld: if it goes on for too long, or too many requests wait already.
        """
        with self._place():
            limit, pause = perf_counter() + self.patience_s, _FIRST_PAUSE_S
            while True:
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
                try:
                    return await enter()
                except PaymentHeld:
                    if perf_counter() > limit:
                        raise
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._waiting >= self.requests:
            raise PaymentHeld("as many requests wait for payments as may")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
