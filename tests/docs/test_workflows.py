"""The workflows run what this repository has: its script, its targets, its options."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Any
from unittest.mock import Mock

import pytest
import yaml  # type: ignore[import-untyped]

from payments_verify import pytest_plugin
from tests.docs.pages import ROOT

CI: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
EXAMPLE: dict[str, Any] = yaml.safe_load((ROOT / "specs" / "examples" / "conformance.yml").read_text())
TARGETS = set(re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
NIGHTLY = {
    "test-long",
    "test-peers",
    "test-databases",
    "mutants",
    "soak",
    "tla",
    "dist",
    "docs",
}
CHANGES = ("push", "pull_request")


def lines(job: dict[str, Any]) -> list[str]:
    """What a job runs, each of its matrix's targets named."""
    run = [step["run"] for step in job["steps"] if "run" in step]
    targets = job.get("strategy", {}).get("matrix", {}).get("target", [""])
    return [line.replace("${{ matrix.target }}", target) for line in run for target in targets]


def made(job: dict[str, Any]) -> set[str]:
    return {line.split()[1] for line in lines(job) if line.startswith("make ")}


def test_each_change_is_checked_as_ci_checks_it() -> None:
    check, containers = [job for job in CI["jobs"].values() if "if" not in job]
    assert lines(check) == ["bash .ci/run"]
    assert lines(containers) == ["make test-containers"]
    assert "container" not in containers  # on the runner itself, which has an engine
    assert (ROOT / ".ci" / "run").is_file()
    assert set(CHANGES) <= set(CI[True])  # YAML reads the key `on` as true


def test_what_takes_long_runs_each_night() -> None:
    nightly = [job for job in CI["jobs"].values() if "if" in job]
    assert set.union(*map(made, nightly)) >= NIGHTLY
    assert CI[True]["schedule"]
    assert all(f"!= '{change}'" in job["if"] for job in nightly for change in CHANGES)


def test_what_is_made_can_be_made() -> None:
    assert set.union(*map(made, CI["jobs"].values())) <= TARGETS


@pytest.mark.parametrize("line", sorted({line for job in CI["jobs"].values() for line in lines(job)}))
def test_each_line_can_be_run_here(line: str) -> None:
    assert "${{" not in line  # nothing is left that only GitHub knows
    program, *words = shlex.split(line)
    if program == "make":
        words = ["--dry-run", *words]
        subprocess.run([program, *words], cwd=ROOT, check=True, capture_output=True, timeout=60)
    else:
        assert program == "apt-get" or (ROOT / words[0]).is_file()


def test_tests_that_need_packages_of_the_system_run_where_they_are_installed() -> None:
    for name, job in CI["jobs"].items():
        run = lines(job)
        tested = [
            each for each in run if each.startswith(("make test ", "make test-long")) or each == "make test"
        ]
        assert not tested or run[0] == "bash .ci/install", name


@pytest.mark.parametrize("workflow", [CI, EXAMPLE], ids=["ours", "the example"])
def test_no_job_goes_on_for_ever_or_may_write(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


def test_the_example_has_options_that_there_are() -> None:
    (command,) = [line for line in lines(EXAMPLE["jobs"]["conformance"]) if line.startswith("pytest ")]
    group = Mock()
    pytest_plugin.pytest_addoption(Mock(getgroup=Mock(return_value=group)))
    known = {name for option in group.addoption.call_args_list for name in option.args}
    used = {word.partition("=")[0] for word in shlex.split(command) if word.startswith("--payments")}
    assert len(used) == 3
    assert used <= known
