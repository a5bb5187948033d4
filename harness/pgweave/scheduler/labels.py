"""What steps and waiting processes are called, for people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pgweave.gate import Fault, Gate, HeldStatement
from pgweave.scheduler.process import Point, Process, ProcessState


@lru_cache(maxsize=4096)
def one_line(sql: str) -> str:
    """A statement's text on one line."""
    return " ".join(sql.split())


def label_of(parked: HeldStatement | Point) -> str:
    """What a step is."""
    return parked.label if isinstance(parked, Point) else one_line(parked.sql)


def details_of(parked: HeldStatement | Point, fault: Fault | None = None) -> dict[str, Any]:
    """More about a step that was taken, for pictures; for an answer, what went wrong on purpose if it did."""
    if isinstance(parked, Point):
        return {"kind": "clock" if parked.label.startswith("clock") else "other"}
    details: dict[str, Any] = {
        "connection": parked.session.number,
        "answer": parked.tag if fault is None else fault.value,
        "values": parked.values,
    }
    if parked.error is not None:
        details["error"] = f"{parked.error.get('C', '')} {parked.error.get('M', '')}"
    return details


def who_waits(what: str, processes: Sequence[Process], gate: Gate | None) -> str:
    """What happened, and who was waiting for what then."""
    lines = [what, *(f"  {each}: {_waits_for(each)}" for each in processes)]
    if gate is not None:
        lines += [
            f"  {session}: {session.unfinished} bytes of a message that has not come to its end"
            for session in gate.sessions
            if session.unfinished
        ]
    return "\n".join(lines)


def _waits_for(process: Process) -> str:
    match process.state:
        case ProcessState.READY:
            return f"ready for {label_of(process.parked[0])}"
        case ProcessState.DONE:
            return "done"
        case ProcessState.STALLED:
            return "waits inside the service"
        case _ if process.waiting is not None:
            return f"waits for the answer to {one_line(process.waiting.sql)}"
        case _:
            return "has sent nothing and answered nothing"
