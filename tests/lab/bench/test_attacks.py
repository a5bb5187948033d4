"""The measurement of attacks: captures are counted by what became of them, while an attack is under way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import psycopg
import pytest
import typer

from lab.bench import bench_attacks
from lab.bench.attacks import load
from lab.bench.attacks.attack import Attack, Target, Told
from lab.bench.attacks.load import offer
from lab.bench.bench_attacks import Measured
from lab.bench.service.servers import EARLIER, ROOT, SERVICE
from tests.support.postgres import Database
from tests.support.processes import serving


def test_captures_are_counted_by_their_answers(
    shared_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "LIMIT_S", 2.0)
    with serving(tmp_path, DATABASE_URL=shared_database.app_dsn) as server:
        found = asyncio.run(offer(server.port, "token", [1, 2, 3], 100))
        assert (found.outcomes, found.latencies, found.percentile(0.99)) == ({"404": 3}, [], None)
    unheard = asyncio.run(offer(server.port, "token", [1, 2], 100))
    assert unheard.outcomes == {"none": 2}
    assert unheard.offered == 2


def look_at_the_payment(target: Target, told: Told) -> None:
    with psycopg.connect(target.dsn) as connection:
        row = connection.execute("SELECT state FROM payments WHERE payment_id = %s", [target.payment])
        assert row.fetchone() == ("authorized",)
    told.is_under_way()
    assert told.is_over(60)


def test_captures_during_an_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_attacks, "ATTACKS", {"a look": Attack(look_at_the_payment)})
    results = tmp_path / "attacks.json"
    bench_attacks.main(
        seconds=1, per_second=20, attack=None, server=SERVICE, json=results, against=ROOT, rounds=1
    )
    found = msgspec.json.decode(results.read_bytes(), type=list[Measured])
    assert [(each.server, each.attack) for each in found] == [(EARLIER, "a look"), (SERVICE, "a look")]
    assert [(each.load.captured, each.load.offered) for each in found] == [(20, 20)] * 2


def fail(_target: Target, _told: Told) -> None:
    raise RuntimeError("no attack")


def test_an_attack_that_does_not_begin_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_attacks, "ATTACKS", {"none": Attack(fail)})
    with pytest.raises(typer.Exit) as ended:
        bench_attacks.main(
            seconds=1, attack=None, json=tmp_path / "attacks.json", server=SERVICE, per_second=20
        )
    assert ended.value.exit_code == 2
