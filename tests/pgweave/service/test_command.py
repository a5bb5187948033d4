"""A command that serves elsewhere than where it is asked."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest

from pgweave.service import command, patience
from pgweave.service.command import CommandError, NoAnswerError, running_command

ELSEWHERE = "exec sleep 600"


async def start(shell: str) -> None:
    async with running_command(shell, {}):
        pytest.fail("it does not serve")


def test_what_answers_nothing_is_told_soon_and_ends_with_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_TOLD_AFTER_S", 0.1)
    monkeypatch.setattr(patience, "IDLE_LIMIT_S", 1.0)
    with pytest.raises(NoAnswerError, match=r"nothing answers at http://127\.0\.0\.1:\d+: .* HOST and PORT"):
        asyncio.run(start(ELSEWHERE))
    told = capsys.readouterr().err
    assert told.count("does the service read HOST and PORT?") == 1
    assert "until it has done nothing for 1 s" in told


def test_a_server_that_waits_for_requests_elsewhere_is_not_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = count()
    monkeypatch.setattr(patience, "IDLE_LIMIT_S", 0.3)
    monkeypatch.setattr(patience, "cpu_ticks", lambda _session: next(looks))
    monkeypatch.setattr(patience, "START_LIMIT_S", 5.0)
    with pytest.raises(NoAnswerError):
        asyncio.run(start(ELSEWHERE))
    assert next(looks) < 20


def test_what_ends_is_not_asked_for_its_port() -> None:
    with pytest.raises(CommandError, match="it ended with 3") as ended:
        asyncio.run(start("exit 3"))
    assert "HOST" not in str(ended.value)


def test_what_a_command_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_STOP_LIMIT_S", 0.5)
    pid = tmp_path / "pid"
    child = f"sh -c 'trap \"\" TERM; echo $$ > {pid}.new; mv {pid}.new {pid}; while :; do sleep 0.1; done'"
    with pytest.raises(CommandError, match="it ended with 3"):
        asyncio.run(start(f"{child} & until [ -f {pid} ]; do sleep 0.1; done; exit 3"))
    stat = Path("/proc") / pid.read_text().strip() / "stat"
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
