"""Several workers of the service, killed and replaced: what those say, serve and count that come for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from payments_verify.surface.samples import Sample
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.processes import killed_worker
from payments_verify.systems.processes.killed_worker import wrong_since
from payments_verify.systems.whole.checks import whole_checks
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, Edit, mutated_copy
from tests.support.postgres import chosen_bin_dir

SCHEMA_FIRST = Edit(
    "entrypoints/wiring.py",
    "    app = make_app(settings)\n",
    "    from payments_core.infrastructure.postgres.migrate import pending\n"
    "    assert settings.database_url is None or not pending(settings.database_url)\n"
    "    app = make_app(settings)\n",
)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        (
            CATALOGUE.edits("last-sweep-of-a-dead-worker"),
            "I9, I12: all workers were killed, and for 4 s after",
        ),
        (CATALOGUE.edits("workers-begin-with-a-full-pool"), "and a request has no answer for 4 s"),
        ([SCHEMA_FIRST], "I9: "),
    ],
    ids=["the last sweep of the dead", "a full pool first", "the schema first"],
)
def test_a_bug_of_workers_that_come_for_killed_ones_is_found(
    dsn: str, edits: Sequence[Edit], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(killed_worker, "LIMIT_S", 4.0)
    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, edits)))
    assert told in str(run(whole_checks(dsn)["several workers"]()))


BEFORE = [
    Sample("captures_total", {"outcome": "captured"}, 3.0),
    Sample("expired_total", {}, 1.0),
    Sample("pool_wait_seconds_sum", {}, 0.5),
    Sample("background_task_running", {"task": "pool"}, 1.0),
]
AFTER = [
    Sample("captures_total", {"outcome": "captured"}, 4.0),
    Sample("capture_replays_total", {"outcome": "captured"}, 1.0),
    Sample("expired_total", {}, 2.0),
    Sample("pool_wait_seconds_sum", {}, 0.6),
    Sample("background_task_running", {"task": "pool"}, 1.0),
]


@pytest.mark.invariant("I12")
def test_metrics_go_on_from_what_was_counted() -> None:
    assert wrong_since(BEFORE, AFTER) is None
    again = [*AFTER[:2], Sample("expired_total", {}, 1.0), *AFTER[3:]]
    assert wrong_since(BEFORE, again) == "expired_total: expected 1 more, got 0"
    fallen = [*AFTER[:3], Sample("pool_wait_seconds_sum", {}, 0.1), AFTER[4]]
    assert "pool_wait_seconds_sum', ()) has fallen" in str(wrong_since(BEFORE, fallen))
    of_a_process = Sample("background_task_running", {"task": "pool", "pid": "7"}, 1.0)
    assert "has come or gone" in str(wrong_since(BEFORE, [*AFTER[:4], of_a_process]))
