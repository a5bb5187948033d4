"""What the main job alone catches: it ends at the check that decides, and tells which that was."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from lab.cli import app
from lab.cli.mutants_main_job import rows_of, summary_of, verdict_on, write_rows
from lab.mutants.plan import UNMUTATED, Planned, planned_main_job
from lab.mutants.techniques import CHECKS, MAIN_JOB
from lab.mutants.trial import Trial, read_verdict
from payments_verify import suite as main_job
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict
from tests.lab.mutants.test_matrix import catalogue, trees_of, trial

MODEL_ALONE = ["contracts (CrossHair)", "bounded model, exhaustively", "protocol, any number of clients (Z3)"]


def result(name: str, problem: str | None = None) -> CheckResult:
    verdict: Verdict = "holds" if problem is None else "violated"
    return CheckResult(name, "x", 2, verdict, 1.0, counterexample=problem)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Result, list[str]]]:
    """Run the command on checks that find these problems; with the names of those that ran."""

    def run_on(problems: dict[str, str | None], *options: str) -> tuple[Result, list[str]]:
        ran: list[str] = []

        def check(name: str) -> Callable[..., CheckResult]:
            def find(**_options: object) -> CheckResult:
                ran.append(name)
                return result(name, problems[name])

            return find

        @contextmanager
        def checks(_plan: object) -> Iterator[tuple[list[main_job.Planned], str]]:
            yield [main_job.Planned(n, check(n), of_the_model=n.startswith("model")) for n in problems], "18"

        command = importlib.import_module("lab.cli.main_job")
        monkeypatch.setattr(command.MainJob, "checks", checks)
        done = CliRunner().invoke(app, ["main-job", "--json", *options])
        return done, ran

    return run_on


def test_it_ends_at_the_check_that_decides(run: Callable[..., tuple[Result, list[str]]]) -> None:
    problems = {"model": None, "a": None, "b": "I9: no answer", "c": "I5: late", "d": None}
    done, ran = run(problems, "--until", "I5", "--until", "I6")
    assert (done.exit_code, ran) == (1, ["a", "b", "c"])
    assert [each["name"] for each in json.loads(done.stdout)] == ["a", "b", "c"]
    assert run(problems)[1] == ["a", "b"]  # without an invariant any violation decides


def test_what_depends_on_the_model_alone_is_not_repeated_and_that_is_told(
    run: Callable[..., tuple[Result, list[str]]],
) -> None:
    done, ran = run({"model and so on": None, "a": None})
    assert (done.exit_code, ran) == (0, ["a"])
    assert "model and so on: not repeated" in done.stderr


def test_a_violation_of_something_else_alone_is_told(run: Callable[..., tuple[Result, list[str]]]) -> None:
    done, ran = run({"a": "I9: no answer", "b": None}, "--until", "I5")
    assert (done.exit_code, ran) == (1, ["a", "b"])


def test_the_main_job_says_which_of_its_checks_depend_on_the_model_alone() -> None:
    planned = list(main_job.suite("no dsn", main_job.QUICK, 1, Path("x"), Path("y")))
    assert sorted(each.title for each in planned if each.of_the_model) == sorted(MODEL_ALONE)
    assert set(chain.from_iterable(CHECKS.values())) <= {each.title for each in planned}


def told(*results: CheckResult) -> Trial:
    said = msgspec.json.encode([each.as_json() for each in results])
    return read_verdict(MAIN_JOB, ("x",), 1, said, "", 9.0)


def test_the_check_that_was_last_tells_the_reason() -> None:
    found = told(result("a"), result("b", "I9: no answer"), result("c", "I5: late"))
    assert (found.state, found.check, found.breaks, found.evidence) == ("killed", "c", ("I5",), "I5: late")
    assert (found.tries, found.seconds, found.size, found.unit) == (6, 3.0, 3, "checks")


def test_each_mutant_is_tried_until_what_it_breaks_and_the_code_as_it_is_at_last(tmp_path: Path) -> None:
    known = catalogue(a=["machine"])
    plan = planned_main_job(known, trees_of(tmp_path, [UNMUTATED, "a"]), quick=True)
    assert [each.row for each in plan] == ["a", UNMUTATED]
    first = ("--first", "stateful machine: in process, PostgreSQL")
    assert plan[0].arguments[-6:] == ("--quick", "--until", "I5", *first, "--json")
    assert not {"--until", "--first"} & set(plan[1].arguments)


def test_the_check_that_should_find_it_comes_first(run: Callable[..., tuple[Result, list[str]]]) -> None:
    problems = {"a": None, "b": None, "c": "I5: late"}
    assert run(problems, "--first", "c")[1] == ["c"]
    assert run(problems, "--first", "b")[1] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("mutant", "unmutated", "verdict", "caught"),
    [
        (told(result("c", "I5: late")), "survived", "holds", "1 of 1 mutants"),
        (told(result("c", "I9: no")), "survived", "violated", "0 of 1 mutants; 1 another reason"),
        (trial("survived"), "survived", "violated", "0 of 1 mutants; 1 survived"),
        (trial("timed out"), "survived", "no verdict", "0 of 1 mutants; 1 timed out"),
        (None, "survived", "no verdict", "0 of 1 mutants; 1 not yet"),
        (told(result("c", "I5: late")), "killed", "violated", "1 of 1 mutants"),
        (told(result("c", "I5: late")), "no verdict", "no verdict", "1 of 1 mutants"),
    ],
)
def test_what_follows(
    mutant: Trial | None, unmutated: Any, verdict: str, caught: str, tmp_path: Path
) -> None:
    plan = [Planned("a", MAIN_JOB, (), "1"), Planned(UNMUTATED, MAIN_JOB, (), "2")]
    done = {"2": trial(unmutated)} | ({} if mutant is None else {"1": mutant})
    rows = rows_of(catalogue(a=["machine"]), plan, done)
    assert verdict_on(rows) == verdict
    assert summary_of(rows) == f"the main job alone catches {caught}"
    written = json.loads(write_rows(rows, tmp_path).read_text())
    assert [each["name"] for each in written] == ["a", UNMUTATED]
