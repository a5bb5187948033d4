"""What the lab adds to the main job: where there is a checkout, and only there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from payments_verify import suite as main_job
from tests.docs.pages import ROOT

PROOF, STATIC = "protocol, any number of clients (Z3)", "schema and statements"


def titles() -> list[str]:
    return [each.title for each in main_job.suite("no dsn", main_job.QUICK, 1, Path("x"), Path("y"))]


def test_the_main_job_has_the_labs_checks_behind_those_of_the_model() -> None:
    found = titles()
    assert found[3:5] == [PROOF, STATIC]
    assert found[5].startswith("stateful machine")


def test_installed_without_the_lab_it_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = titles()
    monkeypatch.setattr(main_job, "find_spec", lambda name: None if name == "lab" else name)
    assert titles() == [each for each in whole if each not in (PROOF, STATIC)]


def test_what_the_lab_shares_with_the_tests_is_their_support() -> None:
    for file in (ROOT / "lab").rglob("*.py"):
        shared = re.findall(r"^ *(?:from|import) (tests\S*)", file.read_text(), re.MULTILINE)
        assert all(each.startswith("tests.support") for each in shared), file
