"""Where everything stands in a picture, in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from rich.cells import cell_len

from pgweave.timeline.elements import CHARACTER
from pgweave.timeline.model import Timeline
from pgweave.timeline.rows import Row, RowKind, model_answers, outcome, rows, short
from pgweave.visible import one_line

MARGIN = 16
_GUTTER = 24
_GAP = 12
_HEADER = 34
_PADDING = 38
_NARROWEST, _WIDEST = 130, 370
_HEIGHT = 27
_NOTE = 18
_MODEL = 28


class Geometry:
    """The places of lanes and rows.

    Args:
        timeline: What is drawn.

    Attributes:
        timeline: The same.
        rows: Its rows, downwards.
        widths: The widths of its lanes.
        width: The width of everything.
        height: The height of everything.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.rows = rows(timeline)
        self.widths = tuple(_width(timeline, lane) for lane in range(len(timeline.lanes)))
        gutter = _GUTTER + len(str(len(timeline.steps))) * CHARACTER
        self._lefts = tuple(accumulate((width + _GAP for width in self.widths), initial=gutter))
        heights = [_height(timeline, row) for row in self.rows]
        self._tops = tuple(accumulate(heights, initial=float(_HEADER)))
        self.width = self._lefts[-1] - _GAP + MARGIN
        self.height = self._tops[-1] + 8
        self._numbers = {(row.kind, row.index): number for number, row in enumerate(self.rows)}

    def left(self, lane: int) -> float:
        """The left edge of a lane."""
        return self._lefts[lane]

    def right(self, lane: int) -> float:
        """The right edge of a lane."""
        return self._lefts[lane] + self.widths[lane]

    def room(self, lane: int) -> int:
        """How many characters fit into a box of a lane."""
        return int((self.widths[lane] - _PADDING) / CHARACTER)

    def top(self, row: Row) -> float:
        """The upper edge of a row."""
        return self._tops[self._numbers[row.kind, row.index]]

    def middle(self, row: Row) -> float:
        """The middle of the first line of a row."""
        return self.top(row) + _HEIGHT / 2

    def step(self, number: int) -> float:
        """The middle of a step's box."""
        return self._tops[self._numbers[RowKind.STEP, number]] + _HEIGHT / 2

    def operation(self, index: int) -> tuple[Row, Row]:
        """The rows of an operation's invocation and response."""
        invoked, answered = ((kind, index) for kind in (RowKind.INVOKED, RowKind.ANSWERED))
        return self.rows[self._numbers[invoked]], self.rows[self._numbers[answered]]


def _height(timeline: Timeline, row: Row) -> float:
    if row.kind is RowKind.STEP:
        return _HEIGHT + (_NOTE if _fails(timeline, row.index) else 0)
    if row.kind is RowKind.ANSWERED:
        return _HEIGHT + (_MODEL if model_answers(timeline.operations[row.index]) else 0)
    return _HEIGHT


def _fails(timeline: Timeline, number: int) -> bool:
    """Whether the row of a step shows an error: its own, or that of one that it woke."""
    steps = [one for one in (number, *timeline.granted(number)) if timeline.completed(one) == number]
    return any(timeline.steps[one].error is not None for one in steps)


def _width(timeline: Timeline, lane: int) -> float:
    longest = max(map(cell_len, _contents(timeline, lane)))
    return min(max(_PADDING + longest * CHARACTER, _NARROWEST), _WIDEST)


def _contents(timeline: Timeline, lane: int) -> Iterator[str]:
    """Everything that shall fit into a lane."""
    yield one_line(timeline.lanes[lane].name)
    for step in timeline.steps:
        if step.lane == lane:
            answer = "waits" if step.blocked_until is not None else outcome(step)
            yield f"{short(step).text}  {answer}"
    for operation in timeline.operations:
        if operation.lane == lane:
            yield one_line(operation.text)
            yield one_line(operation.answer)
            yield model_answers(operation)
