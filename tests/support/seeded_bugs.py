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
_LOCK_THEN_KEY = (
    "                locked = await _execute(connection, sql.LOCK_PAYMENT, (payment_id,))\n"
    "                known = None\n"
    "                if key is not None:\n"
    "                    known = await _execute(connection, sql.FIND_ATTEMPT, (payment_id, key.text))\n"
)
KEY_BEFORE_LOCK = Edit(
    STORE,
    _LOCK_THEN_KEY,
    "                known = None\n"
    "                if key is not None:\n"
    "                    known = await _execute(connection, sql.FIND_ATTEMPT, (payment_id, key.text))\n"
    "                locked = await _execute(connection, sql.LOCK_PAYMENT, (payment_id,))\n",
)
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
        "                None if attempt is None else attempt_of(attempt),\n"
        "                await _instant(clock),\n",
        "                None if attempt is None else attempt_of(attempt),\n                payment[-1],\n",
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
        _LOCK_THEN_KEY,
        "                wanted = None if key is None else key.text\n"
        "                locked = await _execute(connection, sql.LOCK_AND_FIND, (payment_id, wanted))\n",
    ),
    Edit(
        STORE,
        "            attempt = None if known is None else await known.fetchone()\n",
        "            attempt = None if payment[10] is None else payment[10:]\n",
    ),
)
_UPDATES = (
    "        updates = [await _execute(connection, sql.UPDATE_PAYMENT, payment_update(p))"
    " for p in payments]\n"
)
_INSERT_AND_COMMIT = (
    "        if attempt is not None:\n"
    "            await _execute(connection, sql.INSERT_ATTEMPT, attempt_insert(attempt))\n"
    "        commit = await _execute(connection, sql.COMMIT)\n"
)
COMMIT_BEFORE_UPDATE = (
    NO_CONSTRAINTS,
    Edit(STORE, _UPDATES + _INSERT_AND_COMMIT, _INSERT_AND_COMMIT + _UPDATES),
)
_ROW_COUNT_IGNORED = Edit(STORE, "update.rowcount != 1", "update.rowcount not in (0, 1)")
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
        "    async with connection.pipeline():\n" + _UPDATES + _INSERT_AND_COMMIT,
        "    try:\n"
        "        await _commit_all(connection, payments, attempt)\n"
        "    except OperationalError:\n"
        "        pass\n"
        "\n\n"
        "async def _commit_all(connection, payments, attempt):\n"
        "    async with connection.pipeline():\n" + _UPDATES + _INSERT_AND_COMMIT,
    ),
    Edit(STORE, "from psycopg import ", "from psycopg import OperationalError\nfrom psycopg import "),
)
KEY_COMMITTED_AFTER_CAPTURE = (
    NO_CONSTRAINTS,
    Edit(
        STORE,
        _INSERT_AND_COMMIT,
        "        commit = await _execute(connection, sql.COMMIT)\n"
        "    if attempt is not None:\n"
        "        await _execute(connection, sql.INSERT_ATTEMPT, attempt_insert(attempt))\n",
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
        "    async with connection.pipeline():\n" + _UPDATES + _INSERT_AND_COMMIT,
        "    try:\n"
        "        await _write(connection, payments, attempt)\n"
        "    except (errors.SerializationFailure, errors.DeadlockDetected):\n"
        "        await connection.execute(sql.ROLLBACK)\n"
        "        await connection.execute(sql.BEGIN)\n"
        "        await _write(connection, payments, attempt)\n"
        "\n\n"
        "async def _write(connection, payments, attempt):\n"
        "    async with connection.pipeline():\n" + _UPDATES + _INSERT_AND_COMMIT,
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
