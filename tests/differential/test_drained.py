"""Requests that are sent ahead, to a process that is told to end, are seen to be answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.processes.asked import Served, serving
from payments_verify.systems.processes.drained import wrong_end, wrong_hangup
from payments_verify.systems.processes.forked import forks
from payments_verify.systems.processes.forking import NOHUP
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, Edit, mutated_copy
from tests.support.postgres import chosen_bin_dir

Look = Callable[[Served, str, str], Awaitable[str | None]]
_SETTINGS = {"PAYMENTS_DRAIN_S": "3600", "PAYMENTS_POOL_MIN": "1", "PAYMENTS_POOL_MAX": "2"}
_PROTOCOL = "entrypoints/http/protocol.py"
_FIRST_ALONE = Edit(_PROTOCOL, "whole[-1].keep_alive = False", "whole[0].keep_alive = False")
_CUT_OFF = "and a connection with requests on it has ended"
_NOT_SERVED = Edit("entrypoints/lifecycle.py", "loop.call_later(seconds, end)", "end()")


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("edits", "told"),
    [
        (
            CATALOGUE.edits("connections-closed-while-it-drains"),
            "I9: a process is told to end (SIGTERM, SIGTERM): the answer is 'HTTP/1.1 404",
        ),
        ((_FIRST_ALONE,), f"I9: a process is told to end (SIGTERM, SIGTERM), {_CUT_OFF}"),
        ((_NOT_SERVED,), "I9: a process"),
    ],
    ids=["closed while it drains", "closed behind one request", "does not drain"],
)
def test_what_is_sent_ahead_and_not_answered_is_found(
    edits: Sequence[Edit], told: str, tmp_path: Path
) -> None:
    assert str(run_on_copy(edits, tmp_path, wrong_end)).startswith(told)


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("bug", "told"),
    [
        ("closed-terminal-ends-it-behind-nohup", "I9: SIGHUP, which is ignored (nohup), is over"),
        (None, "None"),
    ],
)
def test_a_process_that_does_not_ignore_what_it_has_to_is_found(
    bug: str | None, told: str, tmp_path: Path
) -> None:
    async def look(served: Served, _dsn: str, _name: str) -> str | None:
        return await wrong_hangup(served)

    found = run_on_copy(CATALOGUE.edits(bug) if bug else (), tmp_path, look, **{NOHUP: "yes"})
    assert str(found).startswith(told)


def run_on_copy(edits: Sequence[Edit], folder: Path, look: Look, **settings: str) -> str | None:
    """What is found in a process of the service with these edits."""

    async def wrong(dsn: str) -> str | None:
        given = _SETTINGS | settings
        async with forks() as made, serving(made, dsn, "drained", "--port", "0", **given) as served:
            return await look(served, dsn, "drained")

    with pytest.MonkeyPatch.context() as patched, prepared_database(chosen_bin_dir(), EXPLORING) as dsn:
        patched.setenv("PYTHONPATH", str(mutated_copy(folder, edits)))
        patched.setattr("payments_verify.surface.readiness.LIMIT_S", 3.0)
        return run(wrong(dsn))
