"""A command that is ended inside one of its checks tells what that check had found by then."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.model_checks import contracts, proved
from payments_verify.model_checks.workers import Job, OnFinding

ENDS = [KeyboardInterrupt, ZeroDivisionError]


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    results = json.loads(done.stdout)
    return done.exit_code, results[0]


def ending_jobs(answer: dict[str, Any], ended_by: type[BaseException]) -> Callable[..., dict[Job, str]]:
    """One answer to the first job of a kind, and then the end."""

    def run_jobs(jobs: Sequence[Job], take: OnFinding, _parallel: int | None) -> dict[Job, str]:
        take(jobs[0], answer)
        raise ended_by

    return run_jobs


@pytest.mark.parametrize("ended_by", ENDS)
@pytest.mark.parametrize("refuted", [True, False])
def test_contracts_keep_what_was_decided(
    ended_by: type[BaseException], refuted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contracts.batches(contracts.discover(contracts.MODEL))[0][0]
    answer = {
        "index": first.index,
        "line": first.line,
        "refuted": refuted,
        "confirmed": not refuted,
        "message": "when calling it with 0",
        "seconds": 1.0,
    }
    monkeypatch.setattr(proved, "run_jobs", ending_jobs(answer, ended_by))
    code, result = run("model", "--check", "contracts", "--prove-again")
    assert (code, result["verdict"]) == ((1, "violated") if refuted else (2, "no verdict"))
    assert result["confirmed"] == (0 if refuted else 1)
    assert ("when calling it with 0" in result["counterexample"]) == refuted
    assert "it was not come to" in result["counterexample"]


@pytest.mark.parametrize("ended_by", ENDS)
def test_a_rule_that_differs_is_told(ended_by: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    difference = {"arguments": {"now": "0"}, "first": "returns 1", "second": "returns 2"}
    answer = {"paths": 3, "exhausted": False, "differences": [difference]}
    monkeypatch.setattr(proved, "run_jobs", ending_jobs(answer, ended_by))
    code, result = run("model", "--check", "equivalence", "--prove-again")
    assert (code, result["verdict"], result["cases"]) == (1, "violated", 3)
    assert "the domain returns 2" in result["counterexample"]
