"""A service that also connects past the gate is not examined as if all of it was seen."""

from __future__ import annotations

import sys
from pathlib import Path

from payments_verify.binding import load
from payments_verify.systems import examination_of
from tests.conformance.test_peers import BINDING, PEERS
from tests.support.postgres import chosen_bin_dir

PAST_THE_GATE = """
import os, runpy, threading
import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as through:
    row = through.execute(
        "SELECT current_setting('unix_socket_directories'), current_setting('port')"
    ).fetchone()
    info = through.info
    folder, port = row[0].split(",")[0].strip(), row[1]
    name = dict(dbname=info.dbname, user=info.user, password=info.password)
past = psycopg.connect(host=folder or "127.0.0.1", port=port, application_name="reports", **name)
runpy.run_path({app!r}, run_name="__main__")
"""


def test_a_connection_past_the_gate_is_named(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(PAST_THE_GATE.replace("{app!r}", repr(str(PEERS / "charges" / "app.py"))))
    command = f"exec {sys.executable} {script}"
    with examination_of(command, load(BINDING), chosen_bin_dir(), quick=True) as examination:
        assert examination.open_behind_gate is None
        (why,) = (each for each in examination.unchecked if "past the gate" in each)
    assert why.startswith(
        "levels 4 and 5: the service connects to its database past the gate: a connection of reports"
    )
