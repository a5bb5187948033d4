"""Histories drawn by `payments-verify history --html`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from tests.docs.pages import ROOT
from tests.harness.report.reading import Page
from tests.pgweave.small_specs import OURS
from tests.support.peer_histories import needs_peers, peer_verdicts

VERDICTS = {"holds": "linearizable", "violated": "not linearizable"}


def drawn(files: list[str], folder: Path) -> tuple[int, Page]:
    page = folder / "new" / "page.html"
    result = CliRunner().invoke(app, ["history", *files, "--html", str(page)])
    assert f"drawn: {page}" in result.stderr
    return result.exit_code, Page(page.read_text())


def test_one_that_is_not_linearizable_shows_why(tmp_path: Path) -> None:
    file = str(ROOT / "specs" / "histories" / "naive-capture.jsonl")
    code, page = drawn([file], tmp_path)
    assert code == 1
    assert page.loads == []
    assert "✗ not linearizable 5 operations of payments" in page.text
    assert "A process 2 capture b 1000 -> captured already_captured" in page.text
    assert page.elements.count("figure") == 1


def test_one_that_is_linearizable_shows_the_order(tmp_path: Path) -> None:
    file = str(ROOT / "specs" / "histories" / "locked-capture.jsonl")
    code, page = drawn([file], tmp_path)
    assert code == 0
    assert "✓ linearizable" in page.text
    assert "a linearization of 5 operations." in page.text
    assert "has to come next" not in page.text


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    code, page = drawn(["/no/such/file"], tmp_path)
    assert code == 2
    assert "no verdict" in page.text
    assert "/no/such/file: cannot be read" in page.text


def test_several_are_on_one_page_each_with_its_verdict(tmp_path: Path) -> None:
    code, page = drawn([str(path) for path in OURS], tmp_path)
    assert code == 1
    for path in OURS:
        verdict = VERDICTS["holds" if "-ok-" in path.name else "violated"]
        assert f"{path} {verdict} " in page.text
    assert page.loads == []


@needs_peers
def test_those_of_others_have_their_known_verdicts(tmp_path: Path) -> None:
    verdicts = peer_verdicts()
    _, page = drawn([str(path) for path in verdicts], tmp_path)
    assert page.loads == []
    for path, verdict in verdicts.items():
        assert f"{path} {VERDICTS[verdict]} " in page.text


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = str(ROOT / "specs" / "histories" / "locked-capture.jsonl")
    result = CliRunner().invoke(app, ["history", file, "--html", str(tmp_path / "file" / "page.html")])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_without_a_page_nothing_is_drawn(extra: list[str], tmp_path: Path) -> None:
    file = str(ROOT / "specs" / "histories" / "locked-capture.jsonl")
    result = CliRunner().invoke(app, ["history", file, *extra])
    assert (result.exit_code, result.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
