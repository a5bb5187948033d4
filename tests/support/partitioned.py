"""The shipped schema with its tables hash-partitioned by ``payment_id``; nothing else is changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import payments_core.infrastructure.postgres.migrate as shipped
from payments_core.infrastructure.postgres.migrate import migrate

PARTITIONS = 4
TABLES = ("payments", "capture_attempts", "payment_events")
_END = {
    # Storage parameters belong to the partitions: PostgreSQL takes none for the table above them.
    "payments": ") WITH (fillfactor = 70);\n",
    "capture_attempts": ");\n",
    "payment_events": ");\n",
}
MIGRATIONS = {"0001-payments.sql": TABLES[:2], "0004-events.sql": TABLES[2:]}
"""The migrations that make tables, and which."""


def partitioned(sql: str, tables: Sequence[str]) -> str:
    """A migration, its tables partitioned."""
    for table in tables:
        start = sql.index(f"CREATE TABLE {table} (")
        end = sql.index(_END[table], start)
        storage = re.sub(r"^\)|;\n$", "", _END[table])
        parts = "".join(
            f"CREATE TABLE {table}_{number} PARTITION OF {table}"
            f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number}){storage};\n"
            for number in range(PARTITIONS)
        )
        rest = sql[end + len(_END[table]) :]
        sql = f"{sql[:end]}) PARTITION BY HASH (payment_id);\n{parts}{rest}"
    return sql


def migrate_partitioned(dsn: str, folder: Path) -> None:
    """Apply the shipped migrations, those that make tables partitioned."""
    original = shipped.MIGRATIONS
    copy = folder / "migrations"
    shutil.copytree(original, copy)
    for name, tables in MIGRATIONS.items():
        (copy / name).write_text(partitioned((copy / name).read_text(), tables))
    shipped.MIGRATIONS = copy
    try:
        migrate(dsn)
    finally:
        shipped.MIGRATIONS = original
