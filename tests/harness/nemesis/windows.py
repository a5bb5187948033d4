"""Saved windows of soaks that never took place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from payments_verify.nemesis.rows import DIRECTLY
from payments_verify.nemesis.soak import RUN_FILE, RunReport
from payments_verify.nemesis.window import Incident, WindowReport, history_file, report_file
from pgweave.history.recorder import Recorder

T = 1_000_000_000
Step = tuple[str, dict[str, Any], str, dict[str, Any]]
"""Command, argument, kind of response, response."""


def create(payment: str) -> Step:
    return "create", {"payment": payment, "amount": 500}, "ok", {"outcome": "created"}


def authorize(payment: str) -> Step:
    view = {"state": "authorized", "amount": 500, "authorized_at": T, "capture_expires_at": T + 1_000_000}
    value = {"payment": payment, "window": 1_000_000}
    return "authorize", value, "ok", {"outcome": "authorized", "payment": view}


def capture(payment: str, key: str = "k1", outcome: str = "captured", at: int = T + 1) -> Step:
    value = {"payment": payment, "key": key, "amount": 500}
    kind = "ok" if outcome == "captured" else "unknown" if outcome == "?" else "fail"
    return "capture", value, kind, {} if outcome == "?" else {"outcome": outcome, "decided_at": at}


def rows(payment: str, *captured: str) -> list[Step]:
    """A direct look that shows these keys as captured, or an authorized payment if there are none."""
    view = {"state": "authorized", "amount": 500, "authorized_at": T, "capture_expires_at": T + 1_000_000}
    if captured:
        view |= {"state": "captured", "captured_at": T + 1, "captured_amount": 500}
    attempts = [
        {"key": key, "amount": 500, "outcome": "captured", "decided_at": T + 1} for key in sorted(captured)
    ]
    value = {"payment": payment, **DIRECTLY}
    return [
        ("read", value, "ok", {"outcome": "read", "payment": view, "as_of": T + 10}),
        ("attempts", value, "ok", {"outcome": "read", "attempts": attempts}),
    ]


def window(
    folder: Path,
    number: int,
    steps: Sequence[Step],
    *incidents: Incident,
    findings: Sequence[str] = (),
    is_complete: bool = True,
) -> Path:
    """Save a window; each step is a client of its own, one after the other."""
    path = history_file(folder, number)
    with Recorder(path, spec="payments") as recorder:
        for process, (f, value, kind, response) in enumerate(steps):
            recorder.invoke(process, f, value)
            recorder.respond(process, kind, response)  # type: ignore[arg-type]
    report = WindowReport(
        number=number,
        incidents=list(incidents),
        unknown=sum(step[2] == "unknown" for step in steps),
        findings=list(findings),
        is_complete=is_complete,
    )
    report_file(folder, number).write_bytes(msgspec.json.encode(report))
    return path


def run(
    folder: Path,
    *faults: str,
    is_complete: bool = True,
    lost: int = 0,
    doubled: int = 0,
    damaged: Sequence[str] = (),
    windows: int | None = None,
) -> None:
    """Save what the soak as a whole says: of the windows that are there, if not of another number."""
    report = RunReport(
        seed=1,
        windows=len(list(folder.glob("window-*.jsonl"))) if windows is None else windows,
        faults=list(faults),
        is_complete=is_complete,
        lost=lost,
        doubled=doubled,
        damaged=list(damaged),
    )
    (folder / RUN_FILE).write_bytes(msgspec.json.encode(report))


GOOD: list[Step] = [create("p"), authorize("p"), capture("p", outcome="?"), capture("p"), *rows("p", "k1")]
