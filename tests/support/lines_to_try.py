"""The lines of specs/service.md that a newcomer pastes to try the service, and what they have to print."""

from __future__ import annotations

import re
import subprocess

from tests.docs.pages import SERVICE, blocks

_SERVED_AT = "http://127.0.0.1:8000"
_LIMIT_S = 120


def run(url: str) -> str:
    """Run the lines against a service; what they print.

    Raises:
        AssertionError: one of them fails, or complains.
    """
    (lines,) = blocks(SERVICE, "sh")
    assert f"{_SERVED_AT}/" in lines
    script = lines.replace(_SERVED_AT, url)
    ended = subprocess.run(
        ["sh", "-euc", script], capture_output=True, text=True, timeout=_LIMIT_S, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


def complaint(printed: str) -> str | None:
    """What of it is not as the comments between the lines say: ten captures race, and one wins."""
    codes = sorted(re.findall(r"^key \d+: (\d+)$", printed, re.MULTILINE))
    if codes != ["201", *["409"] * 9]:
        return f"ten captures that race were answered with {' '.join(codes)}"
    for text, times in (
        ("idempotent-replayed: true", 1),
        ('"state":"captured"', 1),
        ('"outcome":"already_captured"', 9),
    ):
        if printed.count(text) != times:
            return f"{text} is printed {printed.count(text)} times, not {times}"
    return None
