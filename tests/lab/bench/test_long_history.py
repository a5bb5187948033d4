"""The long histories that are timed are linearizable, and have what makes the search work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.bench import bench_histories
from lab.bench.long_history import write
from payments_verify.payments.specification.spec import Payments
from pgweave.history.formats import load
from pgweave.history.linearizability import check


@pytest.mark.parametrize("payments", [1, 20])
def test_a_history_that_is_made_is_that_of_an_atomic_service(payments: int, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    write(path, operations=400, clients=10, payments=payments)
    operations = load(path).operations
    result = check(Payments(), operations)
    assert (result.verdict, len(operations), len(result.parts)) == ("holds", 400, payments)
    assert sum(part.configurations for part in result.parts) < 2 * len(operations)
    answers = Counter(str(dict(each.response)["outcome"]) for each in operations)  # type: ignore[arg-type]
    assert {"created", "authorized", "read", "key_reused"} <= set(answers)
    assert payments == 1 or answers["captured"]


def test_the_command_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_histories, "HISTORIES", ((50, 2), (10_000, 100)))
    assert bench_histories.main(["50"]) == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:2] == ["50", "2"]
