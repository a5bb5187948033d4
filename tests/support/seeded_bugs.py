"""Bugs that real services have had, as edits of this one, and where each shows."""

from __future__ import annotations

from tests.support.mutants import Edit

STATEMENTS = "infrastructure/postgres/statements.py"
STORE = "infrastructure/postgres/store.py"
MIGRATIONS = "infrastructure/postgres/migrations"

NO_ROW_LOCK = Edit(
    STATEMENTS,
    'FROM payments WHERE payment_id = %s FOR NO KEY UPDATE"',
    'FROM payments WHERE payment_id = %s"',
)
_LOCK = "            locked = batch.add(sql.LOCK_PAYMENT, (payment_id,))\n"
_KEY = "            known = None if key is None else batch.add(sql.FIND_ATTEMPT, (payment_id, key.text))\n"
KEY_BEFORE_LOCK = Edit(STORE, _LOCK + _KEY, _KEY + _LOCK)
NO_CONSTRAINTS = Edit(
    f"{MIGRATIONS}/0999-weakened.sql",
    None,
    "-- depends: 0003-application-role\n"
    "ALTER TABLE capture_attempts DROP CONSTRAINT capture_attempts_pkey;\n"
    "DROP INDEX one_captured_attempt;\n"
    "DROP TRIGGER legal_moves ON payments;\n"
    "DROP TRIGGER capture_has_attempt ON payments;\n"
    "DROP TRIGGER attempt_has_capture ON capture_attempts;\n",
)
TRANSACTION_START = Edit(STATEMENTS, '"SELECT payment_clock()"', '"SELECT now()"')
CLOCK_IN_LOCKING_STATEMENT = (
    Edit(
        STATEMENTS,
        'LOCK_PAYMENT = f"SELECT {PAYMENT_COLUMNS} FROM',
        'LOCK_PAYMENT = f"SELECT {PAYMENT_COLUMNS}, payment_clock() FROM',
    ),
    Edit(
        STORE,
        "attempt_of(attempt),\n                _instant(clock),\n",
        "attempt_of(attempt),\n                payment[-1],\n",
    ),
)
LOCK_AND_LOOK_UP_IN_ONE = (
    Edit(
        STATEMENTS,
        'READ_CLOCK = "SELECT payment_clock()"',
        'READ_CLOCK = "SELECT payment_clock()"\n'
        'LOCK_AND_FIND = f"""\n'
        "    WITH locked AS (\n"
        "        SELECT {PAYMENT_COLUMNS} FROM payments WHERE payment_id = %s FOR NO KEY UPDATE)\n"
        "    SELECT locked.*, attempt.payment_id, idempotency_key, attempt.amount_cents, outcome,\n"
        "           decided_at, status, body\n"
        "    FROM locked LEFT JOIN capture_attempts AS attempt\n"
        "      ON attempt.payment_id = locked.payment_id AND idempotency_key = %s\n"
        '"""',
    ),
    Edit(
        STORE,
        _LOCK + _KEY,
        "            wanted = None if key is None else key.text\n"
        "            locked = batch.add(sql.LOCK_AND_FIND, (payment_id, wanted))\n",
    ),
    Edit(
        STORE,
        "            attempt = None if known is None else known.row()\n",
        "            attempt = None if payment[10] is None else payment[10:]\n",
    ),
)
_BATCH = "    batch = Batch(connection)\n"
_UPDATES = "    updates = [batch.add(sql.UPDATE_PAYMENT, payment_update(p)) for p in payments]\n"
_INSERT = "    if attempt is not None:\n        batch.add(sql.INSERT_ATTEMPT, attempt_insert(attempt))\n"
_COMMIT = "    commit = batch.add(sql.COMMIT)\n"
_INSERT_AND_COMMIT = _INSERT + _COMMIT
_SEND = "    await batch.send()\n"
COMMIT_BEFORE_UPDATE = (
    NO_CONSTRAINTS,
    Edit(STORE, _UPDATES + _INSERT_AND_COMMIT, _INSERT_AND_COMMIT + _UPDATES),
)
_ROW_COUNT_IGNORED = Edit(STORE, "update.count != 1", "update.count not in (0, 1)")
GUARDED_UPDATE_ROW_COUNT_IGNORED = (
    NO_ROW_LOCK,
    NO_CONSTRAINTS,
    Edit(
        STATEMENTS,
        '    WHERE payment_id = %s\n"""\nINSERT_ATTEMPT',
        "    WHERE payment_id = %s AND state IN ('pending', 'authorized')\n\"\"\"\nINSERT_ATTEMPT",
    ),
    _ROW_COUNT_IGNORED,
)
SWEEPER_WITHOUT_GUARD = (
    NO_CONSTRAINTS,
    Edit(STATEMENTS, "    LIMIT %s\n    FOR NO KEY UPDATE SKIP LOCKED\n", "    LIMIT %s\n"),
)
COMMIT_ERROR_SWALLOWED = (
    Edit(
        STORE,
        _BATCH + _UPDATES + _INSERT_AND_COMMIT + _SEND,
        "    try:\n"
        "        await _commit_all(connection, payments, attempt)\n"
        "    except OperationalError:\n"
        "        pass\n"
        "\n\n"
        "async def _commit_all(connection, payments, attempt):\n"
        + _BATCH
        + _UPDATES
        + _INSERT_AND_COMMIT
        + _SEND,
    ),
    Edit(STORE, "from psycopg import ", "from psycopg import OperationalError\nfrom psycopg import "),
)
KEY_COMMITTED_AFTER_CAPTURE = (
    NO_CONSTRAINTS,
    Edit(
        STORE,
        _INSERT_AND_COMMIT + _SEND,
        _COMMIT + _SEND + "    if attempt is not None:\n"
        "        await _execute(connection, sql.INSERT_ATTEMPT, attempt_insert(attempt))\n",
    ),
)
_EARLY = """
@asynccontextmanager
async def _answered_early(pool):
    connection = await pool.getconn()
    try:
        yield connection
    except BaseException:
        await connection.rollback()
        await pool.putconn(connection)
        raise
    _LATE.add(asyncio.get_running_loop().create_task(_finish(pool, connection)))


async def _finish(pool, connection):
    try:
        await asyncio.sleep(0.05)
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            await connection.execute(sql.COMMIT)
    finally:
        await pool.putconn(connection)


_LATE = set()


class PostgresPaymentStore:
"""
ANSWER_BEFORE_COMMIT = (
    Edit(STORE, "\nfrom collections.abc import", "\nimport asyncio\nfrom collections.abc import"),
    Edit(STORE, "\nclass PostgresPaymentStore:\n", _EARLY),
    Edit(
        STORE,
        "        async with self._pool.connection() as connection, _rolled_back(connection):\n"
        "            asked = perf_counter()\n",
        "        async with _answered_early(self._pool) as connection:\n            asked = perf_counter()\n",
    ),
    Edit(STORE, "        commit = await _execute(connection, sql.COMMIT)\n", ""),
    Edit(STORE, "if commit.statusmessage != sql.COMMIT:", "if False:"),
)
BLIND_RETRY_AFTER_COMMIT = (
    NO_CONSTRAINTS,
    Edit(STORE, "from psycopg import ", "from psycopg import OperationalError\nfrom psycopg import "),
    Edit(
        STORE,
        "        with _replicated(self._connection):\n"
        "            await _commit(self._connection, [] if payment is None else [payment], attempt)\n",
        "        payments = [] if payment is None else [payment]\n"
        "        try:\n"
        "            await _commit(self._connection, payments, attempt)\n"
        "        except OperationalError:\n"
        "            async with self.pool.connection() as connection:\n"
        "                await _execute(connection, sql.BEGIN)\n"
        "                await _commit(connection, payments, attempt)\n",
    ),
    Edit(
        STORE,
        "        self.payment = payment\n",
        "        self.payment = payment\n        self.pool = connection._pool\n",
    ),
)
REPLICATION_WARNING_IGNORED = (Edit(STORE, "    if warnings:\n", "    if False:\n"),)
HOST_CLOCK = (
    Edit(
        STORE,
        "                None if attempt is None else attempt_of(attempt),\n"
        "                await _instant(clock),\n",
        "                None if attempt is None else attempt_of(attempt),\n"
        "                await _instant(clock) and time.time_ns() // 1000,\n",
    ),
    Edit(STORE, "from time import perf_counter\n", "import time\nfrom time import perf_counter\n"),
)
SWEEP_WITHOUT_LIMIT = (
    Edit(
        "entrypoints/sweeper.py",
        "        async with asyncio.timeout(limit_s):\n            swept = len(await expire(batch))\n",
        "        swept = len(await expire(batch))\n",
    ),
)
