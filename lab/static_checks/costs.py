"""What each statement reads of tables that have grown: no more than it needs, wherever in them that is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from unittest.mock import patch
from uuid import UUID, uuid4

import psycopg
from psycopg.pq import TransactionStatus

from lab.static_checks.findings import Findings
from payments_core.application.dto import Cursor
from payments_core.application.use_cases import (
    AuthorizePayment,
    CapturePayment,
    CreatePayment,
    ExpirePayments,
    FailPayment,
    GetPayment,
)
from payments_core.domain.errors import PaymentError
from payments_core.domain.payment import FailureReason
from payments_core.domain.values import SECOND, Amount, CaptureWindow, IdempotencyKey
from payments_core.entrypoints.http.views import capture_answer
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from payments_core.infrastructure.postgres import statements as sql
from payments_core.infrastructure.postgres.batch import Batch, Reply
from payments_core.infrastructure.postgres.contention import Contention
from payments_core.infrastructure.postgres.migrate import known, migrate
from payments_core.infrastructure.postgres.readiness import Readiness
from payments_core.infrastructure.postgres.store import PostgresPaymentStore
from payments_verify.systems.database import unmigrated_database

_PAYMENTS, _CAPTURED, _ATTEMPTS = 20_000, 5_000, 900
"""Payments that there are, those that have an attempt, and the attempts of each that is asked for."""
_LIMIT, _LONGER = 3, 60
_WINDOW = 3600 * SECOND
_MOST_ROWS, _MOST_PAGES, _MOST_PAGES_WRITTEN = 30, 60, 200
"""What a statement, or the triggers of a transaction, may read. Most read one row, a page of a list four."""
_READS_ALL = frozenset({"FIND_DUE"})
"""There is no index for what is due: each sweep reads the payments once."""
_LIMIT_S = 120.0
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "SET", "DO ")
_OF_TABLES = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE) (?:payments|capture_attempts|payment_events)\b")
_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE [a-z])")
_ANY_PARAMETERS = "SET plan_cache_mode = force_generic_plan"
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT json) "
_READ_SO_FAR = """
    SELECT coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
    FROM pg_stat_xact_user_tables
"""
_FILL = f"""
SET session_replication_role = replica;
INSERT INTO payments (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at,
    captured_at, captured_amount_cents)
SELECT md5(n::text)::uuid, 500, 'captured', at, at, at + interval '1 hour', at, 500
FROM generate_series(1, {_PAYMENTS}) AS n,
    LATERAL (SELECT timestamptz '2020-01-01Z' + n * interval '1 s') AS created (at);
INSERT INTO capture_attempts (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
SELECT payment_id, 'k', 500, 'captured', 201, '{{}}', captured_at FROM payments LIMIT {_CAPTURED};
INSERT INTO payment_events
    (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)
SELECT payment_id, 3, outcome, decided_at, amount_cents, idempotency_key, '' FROM capture_attempts;
"""
_ADD = f"""
INSERT INTO payments (payment_id, amount_cents, state, created_at, authorized_at, capture_expires_at)
SELECT id, 500, CASE WHEN is_due THEN 'authorized' ELSE 'pending' END, '2020-01-01 03:00Z',
       CASE WHEN is_due THEN timestamptz '2020-01-01 03:00Z' END,
       CASE WHEN is_due THEN timestamptz '2020-01-01 04:00Z' END
FROM unnest(%(ids)s::uuid[], %(due)s::boolean[]) AS added (id, is_due);
INSERT INTO capture_attempts (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
SELECT id, n::text, 500, 'not_authorized', 409, '{{}}', '2020-01-01 03:00Z'
FROM unnest(%(ids)s::uuid[]) AS id, generate_series(1, {_ATTEMPTS}) AS n;
INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents)
SELECT payment_id, 1, 'created', created_at, amount_cents FROM payments WHERE payment_id = ANY (%(ids)s);
INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, capture_expires_at)
SELECT payment_id, {_ATTEMPTS + 2}, 'authorized', authorized_at, capture_expires_at
FROM payments WHERE payment_id = ANY (%(ids)s) AND state = 'authorized';
INSERT INTO payment_events
    (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)
SELECT payment_id, 1 + idempotency_key::int, outcome, decided_at, amount_cents, idempotency_key, ''
FROM capture_attempts WHERE payment_id = ANY (%(ids)s);
ANALYZE;
"""
_Statement: TypeAlias = tuple[str, Any, Any]


@dataclass(frozen=True)
class Cost:
    """What a statement reads.

    Attributes:
        rows: rows of tables and entries of indexes that it looks at, also in vain.
        pages: how often it reaches for a page.
    """

    rows: int
    pages: int


@dataclass
class _Costs:
    """The most that each statement costs, by its text; that of triggers has none.

    A statement is run as the service sends it, on its connection and with its parameters, before it is sent:
    once with a plan for these, which tells what it reads, and once as it is prepared, with a plan for any.

    Attributes:
        most: the costs.
        sent: how many statements were sent.
    """

    most: dict[str, Cost] = field(default_factory=dict)
    sent: int = 0

    async def look(self, connection: Any, statements: Sequence[_Statement]) -> None:
        """Run statements of one round trip, take back what they did, and keep what they cost."""
        is_idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        batch = Batch(connection)
        batch.add("BEGIN" if is_idle else "SAVEPOINT trip")
        seen: list[tuple[str, Reply | None, Reply, Reply]] = []
        for query, parameters, _ in statements:
            if query.startswith(_CONTROL):
                continue
            batch.add("SAVEPOINT plan")
            explained = batch.add(_EXPLAIN + query, parameters)
            batch.add("ROLLBACK TO plan")
            before = batch.add(_READ_SO_FAR)
            batch.add(query, parameters)
            seen.append((query, explained, before, batch.add(_READ_SO_FAR)))
        if seen and any(query == sql.COMMIT for query, _, _ in statements):
            batch.add("SET CONSTRAINTS ALL IMMEDIATE")
            seen.append(("", None, seen[-1][3], batch.add(_READ_SO_FAR)))
        batch.add("ROLLBACK" if is_idle else "ROLLBACK TO trip")
        await _send(batch)
        for query, plan, before, after in seen:
            self._keep(query, Cost(after.value() - before.value(), 0))
            if plan is not None:
                told = plan.value()[0]["Plan"]
                self._keep(query, Cost(_rows(told), _pages(told)))

    def _keep(self, query: str, cost: Cost) -> None:
        known = self.most.get(query, Cost(0, 0))
        self.most[query] = Cost(max(known.rows, cost.rows), max(known.pages, cost.pages))


_send = Batch.send


def _rows(plan: Mapping[str, Any]) -> int:
    """The rows that a plan's scans have given, and all that were looked at in vain."""
    loops = plan["Actual Loops"]
    given = plan["Actual Rows"] * loops if "Relation Name" in plan or "Index Name" in plan else 0
    in_vain = sum(count for name, count in plan.items() if name.startswith("Rows Removed by")) * loops
    return int(given + in_vain) + sum(map(_rows, plan.get("Plans", [])))


def _pages(plan: Mapping[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def check_costs(dsn: str, statements: Mapping[str, str]) -> Findings:
    """Run every statement that reads or writes payments, on many of them, and see what it reads.

    Args:
        dsn: a database of the server that is used; another is made beside it, and dropped.
        statements: texts by name.
    """
    costs, problems = _Costs(), list[str]()
    try:
        with unmigrated_database(dsn) as another:
            migrate(another)
            problems += asyncio.run(_send_all(another, costs))
    except (psycopg.Error, PaymentError, RuntimeError, TimeoutError) as error:
        problems += [f"I9: what statements cost cannot be seen: {type(error).__name__}: {error}"]
    else:
        unseen = [
            name for name, text in statements.items() if _OF_TABLES.search(text) and text not in costs.most
        ]
        problems += [f"I9: nothing shows what it costs: {name}" for name in unseen]
    return Findings(len(costs.most), [*_dear(costs.most, statements), *problems])


def _dear(costs: Mapping[str, Cost], statements: Mapping[str, str]) -> Iterator[str]:
    names = {text: name for name, text in statements.items()}
    for text, cost in costs.items():
        name = names.get(text) or " ".join(text.split()) or "the triggers of a commit"
        if cost.rows > (_PAYMENTS * 2 if name in _READS_ALL else _MOST_ROWS):
            yield f"I8, I9: of {_PAYMENTS} payments it reads {cost.rows} rows, most in vain: {name}"
        elif (
            cost.pages > (_MOST_PAGES_WRITTEN if _WRITES.search(text) else _MOST_PAGES)
            and name not in _READS_ALL
        ):
            yield f"I8, I9: of {_PAYMENTS} payments it reads {cost.pages} pages, most in vain: {name}"


async def _send_all(dsn: str, costs: _Costs) -> Sequence[str]:
    """Have a service send every statement, on tables that are full; the lists that take more if longer."""
    pending, authorized, declined, due, *more = [uuid4() for _ in range(6)]
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as owner:
        ids = [pending, authorized, declined, due, *more]
        owner.execute(f"ALTER DATABASE {owner.info.dbname} {_ANY_PARAMETERS}".encode())
        owner.execute(_FILL.encode())
        owner.execute(_ADD.encode(), {"ids": ids, "due": [each in (due, *more) for each in ids]})

    async def look(batch: Batch) -> None:
        await costs.look(batch._connection, list(batch.statements))  # noqa: SLF001
        await _send(batch)

    async def count(batch: Batch) -> None:
        costs.sent += len(batch.statements)
        await _send(batch)

    async with asyncio.timeout(_LIMIT_S), _stores(dsn) as (patient, crowded):
        with patch.object(Batch, "send", look):
            await _ask_all(patient, pending)
            await _ask_all(crowded, authorized)
            await AuthorizePayment(patient)(declined, CaptureWindow(_WINDOW))
            await FailPayment(patient)(declined, FailureReason.DECLINED)
            await ExpirePayments(patient)(2)
            await patient.ready()
        with patch.object(Batch, "send", count):
            return [each async for each in _longer(GetPayment(patient), pending, costs)]


async def _longer(get: GetPayment, payment: UUID, costs: _Costs) -> AsyncIterator[str]:
    """The lists whose longer pages take more statements."""
    for name, read in (
        ("payments", lambda limit: get.page(None, limit)),
        ("attempts", lambda limit: get.attempts(payment, 0, limit)),
    ):
        sent = []
        for limit in (_LIMIT, _LONGER):
            before = costs.sent
            await read(limit)
            sent.append(costs.sent - before)
        if sent[0] != sent[1]:
            yield f"I8, I9: pages of {_LIMIT} and {_LONGER} {name} take {sent[0]} and {sent[1]} statements"


@asynccontextmanager
async def _stores(dsn: str) -> AsyncIterator[tuple[PostgresPaymentStore, PostgresPaymentStore]]:
    """A store whose statements may wait for locks, and one whose may not."""
    async with make_pool(Settings(database_url=dsn, pool_min=1, pool_max=1)) as pool:
        readiness, crowded = Readiness(pool, frozenset(known())), Contention(1, 1, 1.0)
        crowded.waiting_for_locks = crowded.connections
        yield (
            PostgresPaymentStore(pool, readiness, Contention(1, 1, 1.0)),
            PostgresPaymentStore(pool, readiness, crowded),
        )


async def _ask_all(store: PostgresPaymentStore, payment: UUID) -> None:
    """Each command of a payment that is pending and has many attempts, and each read at each depth."""
    amount, other = Amount(500), Amount(501)
    capture, get = CapturePayment(store, capture_answer), GetPayment(store)
    for each in (uuid4(), payment):
        await CreatePayment(store)(each, amount)
    await get(payment)
    await capture(payment, IdempotencyKey(f"{_ATTEMPTS}"), amount)
    await AuthorizePayment(store)(payment, CaptureWindow(_WINDOW))
    for key, wanted in (
        ("mismatch", other),
        ("captures", amount),
        ("too late", amount),
        ("captures", amount),
    ):
        await capture(payment, IdempotencyKey(key), wanted)
    for after in (0, _ATTEMPTS // 2, _ATTEMPTS - 1, 2 * _ATTEMPTS):
        await get.attempts(payment, after, _LIMIT)
    first = (await get.page(None, _LIMIT)).next
    assert first is not None
    for seconds in (0, _PAYMENTS // 2, _PAYMENTS - 1, 2 * _PAYMENTS):
        await get.page(Cursor(first.created_at + seconds * 1_000_000, first.payment_id), _LIMIT)
