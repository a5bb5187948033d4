"""More captures at once than connections: who takes a second connection for one starves."""

from __future__ import annotations

from functools import partial

import pytest

from payments_verify.binding import load
from payments_verify.payments.stress.at_once import crowd_check
from payments_verify.systems import empty_databases, started_service
from tests.conformance.test_peers import BINDING
from tests.support.charges import command_of
from tests.support.postgres import chosen_bin_dir

COMMAND = f"exec {command_of('nested_service')}"


@pytest.mark.parametrize("bug", ["", "1"])
def test_who_takes_a_second_connection_for_a_capture_starves(
    bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUG", bug)
    with empty_databases(chosen_bin_dir()) as new:
        found = crowd_check("nested", partial(started_service, COMMAND, load(BINDING), new))
    assert found.verdict == ("violated" if bug else "holds"), found.counterexample
    assert ("of 40 captures at once" in str(found.counterexample)) == bool(bug)
