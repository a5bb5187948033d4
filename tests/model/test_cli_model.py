"""``payments-verify model``: the whole gate, once, and what it prints and returns when something is wrong."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app
from payments_verify.model_checks.contracts import discover
from payments_verify.model_checks.state_graph_bounds import EXPECTED_STATES, EXPECTED_TRANSITIONS
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict

RULES = ("authorize", "capture", "expire", "fail", "replay")
FIELDS = {"name", "kind", "cases", "verdict", "seconds", "counterexample", "timelines", "reach", "note"}
_LIMIT_S = 900
"""The gate takes 45 s of a machine with two processors that has nothing else to do."""


def test_the_model_holds() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "payments_verify", "model", "--prove-again", "--json"],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    contracts, equivalence, graph = json.loads(run.stdout)
    for result, kind in ((contracts, "contracts"), (equivalence, "equivalence"), (graph, "exploration")):
        assert set(result) >= FIELDS
        assert (result["kind"], result["verdict"], result["counterexample"]) == (kind, "holds", None)
        assert result["seconds"] > 0
    conditions = discover("payments_model")
    assert [each["status"] for each in contracts["conditions"]] == ["confirmed"] * len(conditions)
    assert [(each["function"], each["index"], each["text"]) for each in contracts["conditions"]] == [
        (each.function, each.index, each.text) for each in conditions
    ]
    assert contracts["cases"] == contracts["confirmed"] == contracts["total"] == len(conditions) >= 30
    assert sorted(rule["rule"] for rule in equivalence["rules"]) == list(RULES)
    for rule in equivalence["rules"]:
        assert (rule["verdict"], rule["exhausted"], rule["confirmed"]) == ("holds", True, True)
        assert rule["paths"] > 10
        assert rule["differences"] == []
    assert equivalence["cases"] == sum(rule["paths"] for rule in equivalence["rules"])
    assert (graph["states"], graph["transitions"]) == (EXPECTED_STATES, EXPECTED_TRANSITIONS)


def ended(verdict: Verdict) -> Callable[..., CheckResult]:
    return lambda progress: CheckResult(
        name=f"a check that {verdict}",
        kind="test",
        cases=progress(1, 1, "done") or 1,
        verdict=verdict,
        seconds=0.5,
        counterexample=None if verdict == "holds" else "why",
    )


def interrupt(progress: object) -> CheckResult:
    del progress
    raise KeyboardInterrupt


def invoke(
    monkeypatch: pytest.MonkeyPatch, checks: list[Callable[..., CheckResult]], *options: str
) -> Result:
    module = importlib.import_module("payments_verify.cli.model")
    named = {name: ("a check", check) for name, check in zip(module.CheckName, checks, strict=False)}
    monkeypatch.setattr(module, "model_checks", lambda **_options: named)
    return CliRunner().invoke(app, ["model", *options])


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (("holds", "holds"), 0),
        (("holds", "violated"), 1),
        (("holds", "no verdict"), 2),
        (("no verdict", "violated"), 1),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, [ended(verdict) for verdict in verdicts])
    assert result.exit_code == code
    for verdict in verdicts:
        assert f"a check that {verdict}" in result.stdout
    assert result.stdout.count("why") == sum(verdict != "holds" for verdict in verdicts)


def test_json_is_a_list_of_results_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, [ended("violated"), ended("holds")], "--json")
    violated, holds = json.loads(result.stdout)
    assert set(violated) == set(holds) == FIELDS
    assert (violated["verdict"], violated["counterexample"]) == ("violated", "why")
    assert (holds["verdict"], holds["counterexample"]) == ("holds", None)
    assert result.exit_code == 1


def test_an_interrupt_keeps_what_is_finished_and_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    result = invoke(monkeypatch, [ended("holds"), interrupt, ended("violated")], "--json")
    assert result.exit_code == 2
    assert [each["verdict"] for each in json.loads(result.stdout)] == ["holds", "no verdict"]
