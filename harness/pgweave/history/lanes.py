"""Draws operations as bars over time in plain characters, one lane a process.

process 0  |-1----------|
process 1       |-2-|
process 2            |-A---
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One operation.

    Attributes:
        lane: The title of its lane.
        order: Lanes are sorted by this.
        label: What is written on the bar.
        start: The position of the invocation.
        end: The position of the response; None for an operation that is open to the end.
    """

    lane: str
    order: int
    label: str
    start: int
    end: int | None


def draw(bars: Sequence[Bar]) -> Iterator[str]:
    """Draw bars, each between its invocation and its response.

    Every event of the bars gets a column, in real-time order; time between events takes no room.

    Args:
        bars: The operations; those of one lane do not overlap.

    Yields:
        A line for every lane.
    """
    if not bars:
        return
    positions = sorted({bar.start for bar in bars} | {bar.end for bar in bars if bar.end is not None})
    # so wide that a label fits between two neighbouring columns: |-label-|
    width = max(len(bar.label) for bar in bars) + 3
    columns = {position: index * width for index, position in enumerate(positions)}
    end = len(positions) * width
    title_width = max(len(bar.lane) for bar in bars)
    for order in sorted({bar.order for bar in bars}):
        lane = [bar for bar in bars if bar.order == order]
        text = [" "] * end
        for bar in lane:
            _write(bar, text, columns[bar.start], end if bar.end is None else columns[bar.end])
        yield f"{lane[0].lane:<{title_width}}  {''.join(text).rstrip()}"


def _write(bar: Bar, text: list[str], start: int, end: int) -> None:
    text[start:end] = f"|-{bar.label}".ljust(end - start, "-")
    if bar.end is not None:
        text[end] = "|"
