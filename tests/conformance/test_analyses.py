"""The schedules beside the analyses: each is replayed as its page says, and is violated."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lab.peers import every_peer_in
from tests.docs.pages import ROOT

PAGES = ROOT / "specs" / "analyses"
REPLAY = re.compile(r"^\.venv/bin/(payments-verify replay (?:[^`]|\n(?!`))+?)\n```$", re.MULTILINE)
LACKS = {peer.binding_file.resolve(): peer.lacks for peer in every_peer_in(ROOT / "examples" / "peers")}


def words_of(page: Path) -> list[str]:
    """The words of the command by which a page replays its schedule."""
    found = REPLAY.search(page.read_text())
    assert found is not None, f"{page} has no command that replays its schedule"
    return shlex.split(found[1].replace("\\\n", " "))


def named(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


SCHEDULES = sorted(PAGES.glob("*.schedule.json"))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda file: file.name.partition(".")[0])
def test_a_page_has_the_command_that_replays_its_schedule(schedule: Path) -> None:
    words = words_of(PAGES / f"{schedule.name.partition('.')[0]}.md")
    assert str(schedule.relative_to(ROOT)) in words
    assert (ROOT / named(words, "--binding")).resolve() in LACKS


@pytest.mark.peers
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda file: file.name.partition(".")[0])
def test_a_schedule_is_violated_again(schedule: Path, tmp_path: Path) -> None:
    words = words_of(PAGES / f"{schedule.name.partition('.')[0]}.md")
    lacks = LACKS[(ROOT / named(words, "--binding")).resolve()]
    if lacks is not None:
        pytest.skip(f"{lacks} is not there: see `make peers`")
    command = [sys.executable, "-m", "payments_verify", *words[1:], "--output", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "runs: 1; hold: 0, violated: 1, no verdict: 0" in ran.stdout
