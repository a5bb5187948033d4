"""Processes of the service that are forked, and what is said of those that do otherwise than they have to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from payments_core.entrypoints.settings import Settings
from payments_verify.surface.samples import Sample
from payments_verify.systems.processes import commanded, killed_worker, refused_starts
from payments_verify.systems.processes.forked import Ended, forks
from payments_verify.systems.processes.proc import has_connection, is_stopped, listens, runs, workers
from payments_verify.systems.processes.refused_starts import Start

pytestmark = pytest.mark.anyio

VARIABLES = {f"PAYMENTS_{name.upper()}" for name in Settings.model_fields} | {"DATABASE_URL"}
OPTIONS = {f"serve --{name}" for name in ("host", "port", "workers", "data", "demo")}
OPTIONS |= {"migrate --distribute", "sweep --batch", "token --scope"}


async def test_a_fork_has_its_own_arguments_settings_and_exit_code() -> None:
    async with forks() as made:
        token, refused = await asyncio.gather(
            made.run("token", "--scope", "read"), made.run("sweep", PAYMENTS_POOL_MAX="0")
        )
        assert (token.code, token.errors) == (0, "")
        assert "entry  read:" in token.output
        assert (refused.code, refused.output) == (2, "")
        assert refused.errors.startswith("payments-core: PAYMENTS_POOL_MAX")
        assert (made.given, made.options) == ({"PAYMENTS_POOL_MAX"}, {"token --scope"})
        serving = await made.begin(
            "serve", "--port", "0", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none"
        )
        assert await serving.address() is None


def test_a_setting_that_nothing_tries_is_named() -> None:
    assert commanded.untried(VARIABLES, OPTIONS) is None
    told = commanded.untried(VARIABLES - {"PAYMENTS_DRAIN_S"}, OPTIONS - {"serve --data"})
    assert told == "I9: nothing tries the settings PAYMENTS_DRAIN_S, serve --data"


REFUSED = Ended(2, "", "payments-core: no clock: run it elsewhere\n")
START = Start("I5", ("clock", "elsewhere"))


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (REFUSED, None),
        (Ended(1, "", REFUSED.errors), "expected exit code 2, got 1"),
        (Ended(2, "", "payments-core: no clock\n"), "not a line with clock, elsewhere"),
        (Ended(2, "", f"Traceback\n{REFUSED.errors}"), "not a line with"),
        (Ended(2, "serving", REFUSED.errors), "on standard output 'serving'"),
    ],
)
def test_a_start_has_to_be_refused_with_what_to_do(ended: Ended, told: str | None) -> None:
    wrong = refused_starts.wrong_start(START, ended)
    assert wrong == told or (told is not None and str(wrong).startswith("I5: ") and told in str(wrong))


def test_sockets_and_states_of_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listens(os.getpid(), port)
        with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0]:
            assert has_connection(os.getpid(), client.getsockname()[1])
    assert not listens(os.getpid(), port)
    with subprocess.Popen([sys.executable, "-c", "input()", "spawn_main"], stdin=subprocess.PIPE) as child:
        try:
            while child.pid not in workers(os.getpid()):  # it has yet to become what it was told to be
                time.sleep(0.01)
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            assert is_stopped(child.pid)
        finally:
            child.kill()
        child.wait()
        assert not runs(child.pid)


def test_requests_in_flight_of_two_workers() -> None:
    told = [Sample(killed_worker.IN_FLIGHT, {}, 2.0)]
    assert killed_worker.wrong_in_flight(told) is None
    assert (
        killed_worker.wrong_in_flight([]) == "I12: 2 requests are in flight, of two workers, and 0 are told"
    )
