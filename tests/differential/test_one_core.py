"""What takes turns is kept on one core, and let go of again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from payments_verify.systems import EXPLORING, gated, local_processes, prepared_database
from payments_verify.systems.one_core import allowed_cores, claim, on_one_core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process on a core")

_NOBODYS = {1000, 1001}  # no machine of these tests has them, so that no exploration beside them does
_HOLDER = """
import sys
from payments_verify.systems.one_core import claim
with claim({1000, 1001}) as core:
    print(core, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(None, EXPLORING) as dsn:
        yield dsn


def _backend(connection: psycopg.Connection) -> int:
    return connection.info.backend_pid


def _cores(process: int) -> set[int]:
    return os.sched_getaffinity(process)


def _postmaster(backend: int) -> int:
    status = Path(f"/proc/{backend}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("PPid"))


def test_this_thread_and_the_server_are_on_one_core_until_the_block_ends(dsn: str) -> None:
    before = _cores(0)
    with psycopg.connect(dsn) as first:
        postmaster = _postmaster(_backend(first))
        with on_one_core([_backend(first)]) as core, psycopg.connect(dsn) as later:
            assert core in before
            assert all(_cores(each) == {core} for each in (0, _backend(first), _backend(later), postmaster))
            assert allowed_cores() == before
        assert all(_cores(each) == before for each in (0, _backend(first), postmaster))


def test_an_exploration_is_on_one_core_unless_others_run_it(dsn: str) -> None:
    async def cores(one_core: bool) -> tuple[set[int], list[set[int]]]:
        async with gated(dsn, one_core=one_core) as service:
            assert service.database is not None
            return _cores(0), [_cores(session.pid) for session in service.database.gate.sessions]

    before = _cores(0)
    own, servers = asyncio.run(cores(one_core=True))
    assert len(own) == 1
    assert servers
    assert all(each == own for each in servers)
    assert asyncio.run(cores(one_core=False)) == (before, [before] * len(servers))
    assert _cores(0) == before


def test_a_worker_that_an_exploration_starts_may_run_on_every_core(dsn: str) -> None:
    before = _cores(0)
    with (
        psycopg.connect(dsn) as connection,
        on_one_core([_backend(connection)]),
        local_processes(1) as worker,
    ):
        assert worker.submit(os.sched_getaffinity, 0).result() == before


def test_an_exploration_within_another_gives_its_core_back(dsn: str) -> None:
    with psycopg.connect(dsn) as connection, on_one_core([_backend(connection)]) as outer:
        with on_one_core([_backend(connection)]) as inner:
            assert _cores(0) == {inner}
        assert _cores(0) == _cores(_backend(connection)) == {outer}


def test_explorations_are_spread_over_the_cores() -> None:
    with claim(_NOBODYS) as first, claim(_NOBODYS) as second, claim(_NOBODYS) as third:
        assert {first, second} == _NOBODYS
        assert third == first


def test_an_exploration_that_was_killed_has_no_core() -> None:
    def holder() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with holder() as first:
        assert first.stdout is not None
        held = first.stdout.readline()
        with holder() as second:
            assert second.stdout is not None
            assert second.stdout.readline() != held
            second.send_signal(signal.SIGKILL)
        first.send_signal(signal.SIGKILL)
    with holder() as third:
        assert third.stdout is not None
        assert third.stdout.readline() == held
        third.send_signal(signal.SIGKILL)


def test_nothing_is_moved_where_the_server_may_not_be(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _cores(0)

    def refused(_process: int, _cores: object) -> None:
        raise PermissionError

    with psycopg.connect(dsn) as connection:
        monkeypatch.setattr(os, "sched_setaffinity", refused)
        with on_one_core([_backend(connection)]) as core:
            assert core is None
            assert _cores(0) == before
        monkeypatch.undo()
        assert _cores(_backend(connection)) == before


def test_an_error_of_the_block_is_its_own(dsn: str) -> None:
    with (
        psycopg.connect(dsn) as connection,
        pytest.raises(FileNotFoundError),
        on_one_core([_backend(connection)]),
    ):
        raise FileNotFoundError
    assert len(_cores(0)) == len(allowed_cores())
