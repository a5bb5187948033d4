"""What is read from /proc, and which processes it is read of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.bench.service.processes import Process, cpu_us, family, machine_us, memory, parse_stat
from lab.bench.service.servers import ROOT, earlier

STAT = (
    "20610 (a (strange) name) S 4 20610 20610 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 1642483 3133440 408"
    " 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0"
)
BUSY = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"


def test_a_line_of_stat_with_a_name_that_misleads() -> None:
    assert parse_stat(STAT) == Process(pid=20610, parent=4, ticks=11 + 22 + 33 + 44, pages=408)


def test_a_family_is_the_process_and_its_descendants() -> None:
    processes = [
        Process(pid, parent, 1, 1) for pid, parent in ((2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 2))
    ]
    assert [process.pid for process in family(2, processes)] == [2, 3, 7, 4]
    assert family(9, processes) == []


def test_the_time_of_a_child_counts_while_it_runs_and_after() -> None:
    waits = f"import subprocess, sys, time\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\ntime.sleep(600)"
    before = machine_us()
    parent = subprocess.Popen([sys.executable, "-c", waits])
    try:
        deadline = time.monotonic() + 60
        while cpu_us(parent.pid) < 300_000:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert machine_us() - before >= 300_000
        assert memory(parent.pid) > 2**20
    finally:
        parent.kill()
        parent.wait()


def test_memory_is_what_is_resident() -> None:
    before = memory(os.getpid())
    kept = bytearray(os.urandom(32 * 2**20))
    assert memory(os.getpid()) - before >= 0.9 * len(kept)


def test_who_has_ended_has_no_family() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert cpu_us(ended.pid) == pytest.approx(0)


def test_the_earlier_version_is_the_one_in_the_folder(tmp_path: Path) -> None:
    package = tmp_path / "impl" / "payments_core"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys; print('earlier', *sys.argv[1:])")
    ended = subprocess.run(
        earlier(tmp_path)(8000, 2), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "earlier serve --port 8000 --workers 2\n"
