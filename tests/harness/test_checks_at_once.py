"""The checks of the main job run side by side, and nothing that one has found is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from payments_verify.cli.checks_at_once import Job, run_at_once
from payments_verify.result import CheckResult, Progress, ViolationFound
from payments_verify.suite import Planned
from payments_verify.systems import EmbeddedPostgresError

Does = Literal["hold", "raise", "be killed", "wait", "find, then wait"]


def result(name: str, verdict: Any = "holds") -> CheckResult:
    why = None if verdict == "holds" else "two captures succeed"
    return CheckResult(name, "x", os.getpid(), verdict, 0.0, counterexample=why)


def check(name: str, does: Does, begun: Path, *, progress: Progress) -> CheckResult:
    (begun / f"{time.monotonic_ns()} {name}").touch()
    progress(1, 2, "half")
    match does:
        case "raise":
            raise ZeroDivisionError("of the test")
        case "be killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "wait":
            time.sleep(600)
        case "find, then wait":
            try:
                time.sleep(600)
            except KeyboardInterrupt as interrupt:
                raise ViolationFound(result(name, "violated")) from interrupt
    return result(name)


@dataclass(frozen=True)
class Plan:
    """Checks that do what they are to do; those that are long begin first."""

    begun: Path
    checks_do: Sequence[Does]
    long: Sequence[int] = ()
    starts: Literal["well", "with an error", "never"] = "well"

    @contextmanager
    def checks(self) -> Iterator[tuple[list[Planned], str]]:
        if self.starts == "with an error":
            raise EmbeddedPostgresError("no server here")
        if self.starts == "never":
            os._exit(3)
        (self.begun / f"process {os.getpid()}").touch()
        yield (
            [
                Planned(f"check {n}", partial(check, f"check {n}", does, self.begun), is_long=n in self.long)
                for n, does in enumerate(self.checks_do)
            ],
            "18",
        )

    def order(self) -> list[str]:
        """The checks in the order in which they began."""
        return [
            each.name.partition(" ")[2] for each in sorted(self.begun.iterdir()) if each.name[0].isdigit()
        ]

    def processes(self) -> list[int]:
        return [int(each.name.partition(" ")[2]) for each in self.begun.glob("process *")]


def run(plan: Plan, at_once: int) -> Job:
    job = Job()
    run_at_once(at_once, plan, job, lambda _job, _new: None)  # type: ignore[arg-type]
    return job


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_results_stand_in_the_order_of_the_checks(tmp_path: Path) -> None:
    plan = Plan(tmp_path, ["hold"] * 5, long=[3])
    job = run(plan, at_once=2)
    assert [each.name for each in job.results] == [f"check {n}" for n in range(5)]
    assert (job.titles, job.version, job.under_way) == ([f"check {n}" for n in range(5)], "18", {})
    assert plan.order()[0] == "check 3"
    assert len(plan.processes()) == 2
    assert {each.cases for each in job.results} <= set(plan.processes())


def test_a_check_whose_process_dies_has_no_verdict_and_the_others_have(tmp_path: Path) -> None:
    job = run(Plan(tmp_path, ["be killed", "hold", "raise", "hold"]), at_once=1)
    assert [each.verdict for each in job.results] == ["no verdict", "holds", "no verdict", "holds"]
    assert job.results[0].counterexample == "its process was ended by signal 9"
    assert "ZeroDivisionError: of the test" in str(job.results[2].counterexample)


@pytest.mark.parametrize("at_once", [1, 2])
def test_where_no_server_can_be_started_that_is_said(at_once: int, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no server here"):
        run(Plan(tmp_path, ["hold"], starts="with an error"), at_once)


def test_where_no_process_can_start_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no check could be made: its process ended with 3"):
        run(Plan(tmp_path, ["hold"], starts="never"), at_once=2)


def test_what_was_found_before_an_interrupt_is_kept(tmp_path: Path) -> None:
    plan, job, told = Plan(tmp_path, ["hold", "find, then wait", "wait"]), Job(), list[str]()

    def on_change(now: Job, new: Sequence[CheckResult]) -> None:
        told.extend(each.name for each in new)
        if not now.found.get(1) and len([each for each in now.under_way.values() if each.done]) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_at_once(2, plan, job, on_change)  # type: ignore[arg-type]
    found = [(each.name, each.verdict) for each in job.results]
    assert found == [("check 0", "holds"), ("check 1", "violated")]
    assert told == ["check 0", "check 1"]
    assert not any(map(alive, plan.processes()))


def test_no_process_outlives_the_command(tmp_path: Path) -> None:
    plan = Plan(tmp_path, ["wait", "wait"])
    child = os.fork()
    if child == 0:
        run(plan, at_once=2)
        os._exit(0)
    limit = time.monotonic() + 60
    while len(plan.order()) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while any(map(alive, plan.processes())) and time.monotonic() < limit:
        time.sleep(0.05)
    assert len(plan.processes()) == 2
    assert not any(map(alive, plan.processes()))
