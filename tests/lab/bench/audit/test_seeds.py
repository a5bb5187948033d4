"""What the benchmark of the audit seeds is what a service would have left."""

from __future__ import annotations

import psycopg
import pytest

from lab.bench import bench_audit
from lab.bench.audit.seeds import EVERY, seed
from payments_verify.audit import audit
from tests.support.postgres import Database


def test_payments_of_each_kind_are_sound(database: Database) -> None:
    seed(database.dsn, 3 * EVERY)
    found = audit(database.dsn, workers=1)
    assert (found.verdict, found.counts.payments) == ("holds", 3 * EVERY)
    with psycopg.connect(database.dsn) as owner:
        outcomes = owner.execute("SELECT DISTINCT outcome FROM payment_events").fetchall()
    assert len(outcomes) == 8  # all but the refusals of pending and of failed payments


def test_a_finding_ends_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(dsn: str, payments: int) -> None:
        seed(dsn, payments - 1)

    monkeypatch.setattr(bench_audit, "seed", damaged)
    with pytest.raises(ValueError, match="the audit of what is sound says"):
        bench_audit.main(["--payments", "10", "--workers", "1"])
