"""Migrators that are cut, at once, or limited: what they leave half done is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from yoyo.migrations import Migration

from payments_core.infrastructure.postgres import migrate
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.processes.cut_migrations import wrong_migrations
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

pytestmark = pytest.mark.invariant("I9")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


def test_a_record_in_a_transaction_of_its_own_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def apply_one(self: Any, migration: Migration, force: bool = False) -> None:
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
        with self.transaction():
            self.mark_one(migration)

    monkeypatch.setattr(f"{migrate.__name__}._Backend.apply_one", apply_one)
    told = str(run(wrong_migrations(dsn)))
    assert told.startswith(
        "I9: migrate, after one that was cut after COMMIT of CREATE FUNCTION payment_clock"
    )
    assert "already exists" in told


def test_limits_of_the_login_are_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "_ENDLESS", ())
    assert str(run(wrong_migrations(dsn))).startswith("I9: migrate, after one that was cut after ")


def test_migrators_that_do_not_take_turns_are_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def turn(dsn: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn) as connection:
            yield connection

    monkeypatch.setattr(migrate, "turn", turn)
    assert str(run(wrong_migrations(dsn))).startswith("I9: two migrators at once: ")
