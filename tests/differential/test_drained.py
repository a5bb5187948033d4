"""Requests that are sent ahead, to a process that is told to end, are seen to be answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.processes.asked import serving
from payments_verify.systems.processes.drained import wrong_end
from payments_verify.systems.processes.forked import forks
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, Edit, mutated_copy
from tests.support.postgres import chosen_bin_dir

_SETTINGS = {"PAYMENTS_DRAIN_S": "3600", "PAYMENTS_POOL_MIN": "1", "PAYMENTS_POOL_MAX": "2"}
_PROTOCOL = "entrypoints/http/protocol.py"
_FIRST_ALONE = Edit(_PROTOCOL, "whole[-1].keep_alive = False", "whole[0].keep_alive = False")
_NOT_SERVED = Edit("entrypoints/lifecycle.py", "loop.call_later(seconds, end)", "end()")


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("edits", "told"),
    [
        (
            CATALOGUE.edits("connections-closed-while-it-drains"),
            "I9: a process was told to end: the answer is 'HTTP/1.1 404",
        ),
        ((_FIRST_ALONE,), "I9: a process drains, and a connection with requests on it has ended"),
        ((_NOT_SERVED,), "I9: a process"),
    ],
    ids=["closed while it drains", "closed behind one request", "does not drain"],
)
def test_what_is_sent_ahead_and_not_answered_is_found(
    edits: Sequence[Edit], told: str, tmp_path: Path
) -> None:
    async def wrong(dsn: str) -> str | None:
        async with forks() as made, serving(made, dsn, "drained", "--port", "0", **_SETTINGS) as served:
            return await wrong_end(served, dsn, "drained")

    with pytest.MonkeyPatch.context() as patched, prepared_database(chosen_bin_dir(), EXPLORING) as dsn:
        patched.setenv("PYTHONPATH", str(mutated_copy(tmp_path, edits)))
        patched.setattr("payments_verify.surface.readiness.LIMIT_S", 3.0)
        assert str(run(wrong(dsn))).startswith(told)
