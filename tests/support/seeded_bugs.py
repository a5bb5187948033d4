"""Bugs that real services have had, as edits of this one, and where each shows."""

from __future__ import annotations

from tests.support.mutants import Edit

STATEMENTS = "infrastructure/postgres/statements.py"
STORE = "infrastructure/postgres/store.py"
USE_CASES = "application/use_cases.py"
ROUTES = "entrypoints/http/payments.py"
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
    "-- depends: 0004-events\n"
    "ALTER TABLE capture_attempts DROP CONSTRAINT capture_attempts_pkey;\n"
    "DROP INDEX one_captured_attempt;\n"
    "DROP TRIGGER legal_moves ON payments;\n"
    "DROP TRIGGER capture_has_attempt ON payments;\n"
    "DROP TRIGGER attempt_has_capture ON capture_attempts;\n"
    "ALTER TABLE payment_events DROP CONSTRAINT payment_events_pkey;\n",
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
_UPDATES = "    updates = [batch.add(_update(attempt), payment_update(p)) for p in payments]\n"
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
    Edit(STORE, "\nfrom collections.abc import", "\nimport asyncio\nfrom collections.abc import"),
    Edit(STORE, "\nclass PostgresPaymentStore:\n", _LATE),
    Edit(
        STORE,
        "        finally:\n"
        "            await self._pool.give_back(connection)\n\n"
        "    @asynccontextmanager\n"
        "    async def lock_due",
        "        finally:\n"
        "            late = _finish(self._pool, connection)\n"
        "            _UNDER_WAY.add(asyncio.get_running_loop().create_task(late))\n\n"
        "    @asynccontextmanager\n"
        "    async def lock_due",
    ),
    Edit(STORE, _COMMIT, ""),
    Edit(STORE, "if commit.tag != sql.COMMIT:", "if False:"),
)
BLIND_RETRY_AFTER_COMMIT = (
    NO_CONSTRAINTS,
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
        "                _instant(clock),\n",
        "                None if attempt is None else attempt_of(attempt),\n"
        "                _instant(clock) and time.time_ns() // 1000,\n",
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
_DECIDED = (
    "            moved = None if decision.payment == locked.payment else decision.payment\n"
    "            await locked.commit(payment=moved, attempt=attempt)\n"
)
_CAPTURED_BY = (
    "        result = request.scope[CAPTURE] = await self.capture(payment_id, key, wanted.amount)\n"
    "        return _captured(result)\n"
)
RESPONSE_BEFORE_COMMIT = (
    # As where a framework commits once the answer has been sent.
    Edit(
        USE_CASES,
        _DECIDED,
        "            moved = None if decision.payment == locked.payment else decision.payment\n"
        "            await EARLY.get()(CaptureResult(attempt.answer, False, attempt.outcome))\n"
        "            await locked.commit(payment=moved, attempt=attempt)\n",
    ),
    Edit(
        USE_CASES,
        "@dataclass(frozen=True, slots=True)\nclass CreatePayment:",
        "from contextvars import ContextVar\n\nEARLY = ContextVar('EARLY')\n\n\n"
        "@dataclass(frozen=True, slots=True)\nclass CreatePayment:",
    ),
    Edit(
        ROUTES,
        _CAPTURED_BY,
        "        from payments_core.application.use_cases import EARLY\n"
        "        sent = []\n"
        "        async def early(result):\n"
        "            sent.append(result)\n"
        "            await _captured(result)(request.scope, request.receive, request._send)\n"
        "        async def nothing(scope, receive, send): ...\n"
        "        EARLY.set(early)\n"
        "        try:\n"
        "            result = await self.capture(payment_id, key, wanted.amount)\n"
        "        except Exception:\n"
        "            if not sent:\n"
        "                raise\n"
        "        return nothing if sent else _captured(result)\n",
    ),
)
BLIND_RETRY_AFTER_LOST_COMMIT = (
    # The second try decides anew, and does not look its own key up: what it finds is its own capture.
    Edit(
        USE_CASES,
        "    @again_after_conflict\n"
        "    async def __call__("
        "self, payment_id: UUID, key: IdempotencyKey, amount: Amount) -> CaptureResult:\n",
        "    async def __call__(self, payment_id, key, amount):\n"
        "        try:\n"
        "            return await self._once(payment_id, key, amount)\n"
        "        except psycopg.OperationalError:\n"
        "            pass\n"
        "        async with self.store.lock(payment_id) as locked:\n"
        "            decision = decide_capture(locked.payment, key, amount, locked.now)\n"
        "            attempt = self._attempt(decision)\n"
        "            if decision.payment != locked.payment:\n"
        "                await locked.commit(payment=decision.payment, attempt=attempt)\n"
        "            return CaptureResult(attempt.answer, replayed=False, outcome=attempt.outcome)\n\n"
        "    @again_after_conflict\n"
        "    async def _once(self, payment_id, key, amount):\n",
    ),
    Edit(USE_CASES, "from uuid import UUID\n", "from uuid import UUID\n\nimport psycopg\n"),
)
LOST_COMMIT_TAKEN_FOR_CONFLICT = Edit(
    STORE,
    "if not isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):",
    "if not isinstance(error, errors.OperationalError):",
)
RETRY_WITH_FIRST_READ = (
    # The transaction is gone, and with it the lock and all that was read under it.
    NO_CONSTRAINTS,
    Edit(
        STORE,
        _BATCH + _UPDATES + _INSERT_AND_COMMIT + _SEND,
        "    try:\n"
        "        await _write(connection, payments, attempt)\n"
        "    except (errors.SerializationFailure, errors.DeadlockDetected):\n"
        "        await _execute(connection, sql.ROLLBACK)\n"
        "        await _execute(connection, sql.BEGIN)\n"
        "        await _write(connection, payments, attempt)\n"
        "\n\n"
        "async def _write(connection, payments, attempt):\n" + _BATCH + _UPDATES + _INSERT_AND_COMMIT + _SEND,
    ),
)
TRANSIENT_ERROR_STORED = (
    # As by a middleware that keeps whatever was answered under the key.
    Edit(
        ROUTES,
        _CAPTURED_BY,
        "        import psycopg\n"
        "        if (payment_id, key) in _KEPT:\n"
        "            return _KEPT[payment_id, key]\n"
        "        try:\n"
        "            result = await self.capture(payment_id, key, wanted.amount)\n"
        "        except psycopg.OperationalError:\n"
        "            _KEPT[payment_id, key] = problems.response(problems.UNAVAILABLE, 'not now')\n"
        "            return _KEPT[payment_id, key]\n"
        "        _KEPT[payment_id, key] = _captured(result)\n"
        "        return _KEPT[payment_id, key]\n",
    ),
    Edit(
        ROUTES,
        "@dataclass(frozen=True)\nclass PaymentRoutes:",
        "_KEPT = {}\n\n\n@dataclass(frozen=True)\nclass PaymentRoutes:",
    ),
)
