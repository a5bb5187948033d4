"""The script has the service's statements, what pgbench prints is read, and both store captures."""

from __future__ import annotations

import psycopg
import pytest

from lab.bench.service import pgbench
from lab.bench.service.database import Database
from lab.bench.service.pgbench import PgbenchError, parse, parse_log, script
from payments_core.infrastructure.postgres import statements as sql
from pgweave.embedded import EmbeddedPostgres

PRINTED = """pgbench (18.6)
transaction type: capture.sql
number of transactions actually processed: 3
number of failed transactions: 0 (0.000%)
tps = 4849.250000 (without initial connection time)
"""
LOG = ["0 1 1833 0 1795608000 1", "0 2 2000 0 1795608000 2", "1 1 5015 0 1795608000 3"]


def statements(text: str) -> list[str]:
    return [line.removesuffix(";") for line in text.splitlines() if line.endswith(";")]


def test_the_statements_are_the_services_in_the_order_of_the_protocol() -> None:
    sent = statements(script(2, 0, 10))
    originals = [
        *(sql.BEGIN, sql.LOCK_PAYMENT, sql.FIND_ATTEMPT, sql.READ_CLOCK),
        *(sql.UPDATE_PAYMENT, sql.INSERT_ATTEMPT, sql.COMMIT),
    ]
    assert len(sent) == len(originals)
    for filled, original in zip(sent, originals, strict=True):
        at = 0
        for part in " ".join(original.split()).split("%s"):
            found = filled.find(part, at)
            assert found >= at, f"{part!r} is missing in {filled!r}"
            at = found + len(part)


def test_one_pipeline_or_two() -> None:
    two, one = script(2, 0, 10), script(1, 0, 10)
    assert (two.count("\\startpipeline"), one.count("\\startpipeline")) == (2, 1)
    assert statements(two) == statements(one)
    reads, writes = two.split("\\endpipeline")[:2]
    assert "FOR NO KEY UPDATE" in reads
    assert statements(reads)[0] == sql.BEGIN
    assert statements(writes)[-1] == sql.COMMIT


def test_a_statement_of_another_shape_is_refused() -> None:
    with pytest.raises(PgbenchError, match="2 parameters, and 1 values"):
        pgbench.fill("SELECT %s, %s", ["1"])


def test_what_pgbench_prints_is_read() -> None:
    found = parse(PRINTED, parse_log(LOG))
    assert (found.transactions, found.per_second, found.latencies) == (3, 4849.25, [1833, 2000, 5015])


def test_a_log_of_other_transactions_is_refused() -> None:
    with pytest.raises(PgbenchError, match="ran 3 transactions, and logged 2"):
        parse(PRINTED, [1, 2])
    with pytest.raises(PgbenchError, match="no result"):
        parse("", [])


@pytest.mark.parametrize("word", ["failed", "skipped", "serialization"])
def test_a_transaction_that_did_not_succeed_is_no_latency(word: str) -> None:
    with pytest.raises(PgbenchError, match=rf"1 transactions did not succeed: {word}"):
        parse_log([*LOG, f"1 2 {word} 0 1795608000 4"])


@pytest.mark.parametrize("pipelines", [1, 2])
def test_every_transaction_is_a_capture(
    postgres_server: EmbeddedPostgres, migrated_template: str, pipelines: int
) -> None:
    name = f"pgbench_{pipelines}"
    postgres_server.create_database(name, template=migrated_template)
    try:
        stored = Database(postgres_server.dsn(name, unix_socket=True))
        stored.add_authorized(0, 40_000)
        text = script(pipelines, 0, 20_000)
        found = pgbench.run(stored.dsn, text, seconds=1, clients=2)
        assert found.transactions == stored.captured() == stored.attempts() > 0
        with psycopg.connect(stored.dsn) as connection:
            body = connection.execute(
                "SELECT DISTINCT outcome, status, body FROM capture_attempts"
            ).fetchall()
        assert body == [("captured", 201, pgbench.BODY.encode())]
        # The second time it finds them captured, and the schema refuses what it tries.
        with pytest.raises(PgbenchError, match="legal_moves"):
            pgbench.run(stored.dsn, text, seconds=1, clients=2)
    finally:
        postgres_server.drop_database(name)
