"""Bugs that real services have had, as edits of this one: the catalogue's, and more that a soak finds."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.mutants import CATALOGUE, Edit

STORE = "infrastructure/postgres/store.py"
REPLICATION = "infrastructure/postgres/replication.py"

(NO_ROW_LOCK,) = CATALOGUE.edits("no-row-lock")
(KEY_BEFORE_LOCK,) = CATALOGUE.edits("unique-violation-answered-500")
(NO_CONSTRAINTS,) = CATALOGUE.edits("no-constraints")
(TRANSACTION_START,) = CATALOGUE.edits("now-for-the-clock")
(LOST_COMMIT_TAKEN_FOR_CONFLICT,) = CATALOGUE.edits("lost-commit-taken-for-conflict")
CLOCK_IN_LOCKING_STATEMENT = CATALOGUE.edits("clock-in-the-locking-statement")
LOCK_AND_LOOK_UP_IN_ONE = CATALOGUE.edits("lock-and-look-up-in-one-statement")
COMMIT_BEFORE_UPDATE = CATALOGUE.edits("key-committed-before-capture")
GUARDED_UPDATE_ROW_COUNT_IGNORED = CATALOGUE.edits("guarded-update-row-count-ignored")
SWEEPER_WITHOUT_GUARD = CATALOGUE.edits("sweeper-without-guard")
COMMIT_ERROR_SWALLOWED = CATALOGUE.edits("commit-error-swallowed")
KEY_COMMITTED_AFTER_CAPTURE = CATALOGUE.edits("key-committed-after-capture")
RESPONSE_BEFORE_COMMIT = CATALOGUE.edits("response-before-commit")
BLIND_RETRY_AFTER_LOST_COMMIT = CATALOGUE.edits("blind-retry-after-lost-commit")
RETRY_WITH_FIRST_READ = CATALOGUE.edits("retry-with-the-first-read")
TRANSIENT_ERROR_STORED = CATALOGUE.edits("transient-error-stored")
HOST_CLOCK = CATALOGUE.edits("application-clock")

_COMMIT = "    commit = batch.add(sql.COMMIT)\n"
_LATE = """
async def _finish(pool, connection):
    try:
        await asyncio.sleep(0.05)
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            await _execute(connection, sql.COMMIT)
    finally:
        await pool.putconn(connection)


_UNDER_WAY = set()


class PostgresPaymentStore:
"""
ANSWER_BEFORE_COMMIT = (
    Edit(
        STORE,
        "\nfrom collections.abc import",
        "\nimport asyncio\nfrom psycopg.pq import TransactionStatus\nfrom collections.abc import",
    ),
    Edit(STORE, "\nclass PostgresPaymentStore:\n", _LATE),
    Edit(
        STORE,
        "            try:\n"
        "                await self._pool.give_back(connection)\n"
        "            finally:\n"
        "                self._turn.release()\n",
        "            late = _finish(self._pool, connection)\n"
        "            _UNDER_WAY.add(asyncio.get_running_loop().create_task(late))\n"
        "            self._turn.release()\n",
    ),
    Edit(STORE, _COMMIT, ""),
    Edit(STORE, "if commit.tag != sql.COMMIT:", "if False:"),
)
BLIND_RETRY_AFTER_COMMIT = (
    NO_CONSTRAINTS,
    Edit(
        STORE,
        "\nfrom collections.abc import",
        "\nfrom psycopg import OperationalError\nfrom collections.abc import",
    ),
    Edit(
        STORE,
        "        with Replicated(self._connection):\n"
        "            await _commit(self._connection, payments, attempt, self._last_event)\n",
        "        try:\n"
        "            await _commit(self._connection, payments, attempt, self._last_event)\n"
        "        except OperationalError:\n"
        "            async with self._connection._pool.connection() as connection:\n"
        "                await _execute(connection, sql.BEGIN)\n"
        "                await _commit(connection, payments, attempt, self._last_event)\n",
    ),
)
REPLICATION_WARNING_IGNORED = (Edit(REPLICATION, "if self._warnings and kind is None:", "if False:"),)
SWEEP_WITHOUT_LIMIT = (
    Edit(
        "entrypoints/sweeper.py",
        "        async with asyncio.timeout(limit_s):\n            swept = len(await expire(batch))\n",
        "        swept = len(await expire(batch))\n",
    ),
)

EXPLORED_BUGS: dict[str, tuple[Sequence[Edit], str, int]] = {
    "no row lock": ((NO_ROW_LOCK,), "different-keys", 3),
    "key looked up before the lock": ((KEY_BEFORE_LOCK,), "same-key-twice", 3),
    "no unique key and no lock": ((NO_ROW_LOCK, NO_CONSTRAINTS), "different-keys", 3),
    "now() for the clock": ((TRANSACTION_START,), "window-closes-behind-lock", 4),
    "clock read in the locking statement, holder only locks": (
        CLOCK_IN_LOCKING_STATEMENT,
        "window-closes-behind-lock",
        4,
    ),
    "clock read in the locking statement, holder rolls back": (
        CLOCK_IN_LOCKING_STATEMENT,
        "window-closes-behind-rollback",
        4,
    ),
    "lock and look-up in one statement": (LOCK_AND_LOOK_UP_IN_ONE, "same-key-twice", 3),
    "commit before update": (COMMIT_BEFORE_UPDATE, "different-keys", 2),
    "guarded update whose row count is ignored": (GUARDED_UPDATE_ROW_COUNT_IGNORED, "different-keys", 3),
    "sweeper that updates without a guard": (SWEEPER_WITHOUT_GUARD, "capture-and-sweep", 4),
}
"""The bug, the scenario that shows it, and how often its schedule switches between processes, at most."""
