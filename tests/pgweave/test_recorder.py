"""Recording histories from threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from pgweave.history.formats import load
from pgweave.history.operations import HistoryError
from pgweave.history.recorder import Recorder


def test_the_recorder_writes_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with Recorder(path, spec="cas-register") as recorder:
        recorder.invoke(0, "write", 1)
        assert len(load(path).operations) == 1, "every event is in the file at once"
        recorder.invoke(1, "cas", [1, 2])
        recorder.respond(0, "ok", None)
        recorder.respond(1, "unknown", None)
        recorder.invoke(2, "read", None)
        recorder.respond(2, "fail", {"status": 503})
        recorded = recorder.history()
    assert load(path) == recorded
    assert [operation.outcome for operation in recorded.operations] == ["ok", "unknown", "fail"]
    assert recorded.spec == "cas-register"
    times = [msgspec.json.decode(line)["time"] for line in path.read_bytes().splitlines()[1:]]
    assert times == sorted(times)


def test_the_recorder_refuses_what_a_waiting_client_cannot_do(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with Recorder(path, spec="kv") as recorder:
        with pytest.raises(HistoryError, match="no open invocation"):
            recorder.respond(0, "ok", None)
        recorder.invoke(0, "get", {"key": "a"})
        with pytest.raises(HistoryError, match="still open"):
            recorder.invoke(0, "get", {"key": "a"})
        with pytest.raises(HistoryError, match="not a valid event"):
            recorder.invoke(1, "get", object())  # type: ignore[arg-type]
        with pytest.raises(HistoryError, match="not a valid event"):
            recorder.invoke(-1, "get", None)
        recorder.respond(0, "unknown", None)
        with pytest.raises(HistoryError, match="used again"):
            recorder.invoke(0, "get", {"key": "a"})
    assert len(load(path).operations) == 1, "what was refused is not in the file"


def test_the_recorder_is_safe_between_threads(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    barrier = threading.Barrier(8)

    def client(process: int) -> None:
        barrier.wait(timeout=10)
        for number in range(50):
            recorder.invoke(process, "write", number)
            recorder.respond(process, "ok", None)

    with Recorder(path, spec="cas-register") as recorder:
        threads = [threading.Thread(target=client, args=(process,)) for process in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        recorded = recorder.history()
    assert len(recorded.operations) == 400
    assert load(path) == recorded


def test_the_recorder_is_safe_between_tasks(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"

    async def client(recorder: Recorder, process: int) -> None:
        for number in range(10):
            recorder.invoke(process, "write", number)
            await asyncio.sleep(0)
            recorder.respond(process, "ok", None)

    async def run(recorder: Recorder) -> None:
        await asyncio.gather(*(client(recorder, process) for process in range(5)))

    with Recorder(path, spec="cas-register") as recorder:
        asyncio.run(run(recorder))
    operations = load(path).operations
    assert len(operations) == 50
    assert any(first.returned and first.returned > second.called for first, second in pairwise(operations))
