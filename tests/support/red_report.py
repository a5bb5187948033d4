"""The checks of the main job that need no solver, on the service that is on the path, and their report.

``python -m tests.support.red_report FOLDER``
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from payments_verify.cli.verify import make_report, write_report
from payments_verify.payments.exploration.check import interleavings_check
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.races.check import racing_check
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.stress.check import stress_check
from payments_verify.result import CheckResult
from payments_verify.systems import EXPLORING, gated, in_process, prepared_database, servers

_SCENARIOS = ("different-keys", "same-key-twice", "capture-and-void")
_SEED = 1


def checks(dsn: str, folder: Path) -> Iterator[CheckResult]:
    """A few of each: enough for what is seeded."""
    yield machine_check("in process", partial(in_process, dsn), examples=20, steps=15, seed=_SEED)
    scenarios = [SCENARIOS[name] for name in _SCENARIOS]
    yield interleavings_check("in process", partial(gated, dsn), scenarios, folder / "schedules", probes=5)
    yield racing_check("in process", partial(gated, dsn), examples=40, steps=15, seed=_SEED)
    histories = folder / "histories"
    yield stress_check(
        "2 processes", partial(servers, dsn, 2), histories, rounds=30, seed=_SEED, progress=None
    )


def main(folder: Path) -> None:
    """Run them, and write the report and its page."""
    folder.mkdir(parents=True, exist_ok=True)
    with prepared_database(None, EXPLORING) as dsn:
        results = list(checks(dsn, folder))
    write_report(folder, msgspec.json.encode(make_report(results, _SEED, True, "18", 1.0)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
