"""Whether the database can be used, asked over a connection that no request can take away."""

import asyncio
from time import perf_counter

from psycopg import OperationalError

from payments_core.infrastructure.postgres.fitness import is_fit
from payments_core.infrastructure.postgres.pool import Pool

FRESH_S = 1.0
"""How long the answer that the database can be used is given again without asking, in seconds."""
PATIENCE_S = 2.0
"""How long the database has to answer, in seconds."""


class Readiness:
    """Asks whether the database is fit: one question at a time, whoever waits for the answer.

    Args:
        pool: gives the connection; one of its own, so that the busy connections of requests are no answer.
        migrations: ids of the migrations that this code needs.
    """

    def __init__(self, pool: Pool, migrations: frozenset[str]) -> None:
        self._pool = pool
        self._migrations = migrations
        self._question: asyncio.Task[bool] | None = None
        self._fresh_until = 0.0

    async def __call__(self) -> bool:
        """Whether the database has every migration that this code needs, and lets payments be captured.

        Raises:
            psycopg.Error: if it does not answer, or nothing can be written there.
        """
        if perf_counter() < self._fresh_until and not self._pool.closed:
            return True
        question = self._question
        if question is None or question.done():
            question = self._question = asyncio.create_task(self._ask())
            question.add_done_callback(_forget_error)
        await asyncio.wait([question], timeout=PATIENCE_S)
        if not question.done():
            question.cancel()  # its connection is closed meanwhile, and the next question has another
            raise OperationalError("the database has not answered in time")
        if question.cancelled():
            raise OperationalError("the database had not answered in time")
        return question.result()

    async def _ask(self) -> bool:
        async with self._pool.connection(timeout=PATIENCE_S) as connection:
            is_ready = await is_fit(connection, self._migrations)
        if is_ready:
            self._fresh_until = perf_counter() + FRESH_S
        return is_ready


def _forget_error(question: asyncio.Task[bool]) -> None:
    """Retrieve the error of a question that nobody waits for any more, so that the loop does not log it."""
    if not question.cancelled():
        question.exception()
