"""A timeline in a terminal, in plain characters: a column a lane, a line a step, time downwards.

::

        one                   two
        --------------------  ------------------------------
     0  UPDATE accounts
     1                        UPDATE accounts, waits
     2  COMMIT -------------> granted: 1 row
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text

from pgweave.timeline.gist import GistKind
from pgweave.timeline.line import Line
from pgweave.timeline.model import Timeline
from pgweave.timeline.rows import PARTS, Row, RowKind, model_answers, outcome, rows, short
from pgweave.visible import clipped, one_line, visible

WIDTH = 100
_GAP = 2
_NARROWEST = 12
_STYLES = {
    GistKind.OTHER: "dim",
    GistKind.READ: "blue",
    GistKind.LOCK: "yellow",
    GistKind.WRITE: "magenta",
    GistKind.COMMIT: "green",
    GistKind.ROLLBACK: "red",
}


def render(timeline: Timeline, width: int = WIDTH) -> str:
    """Draw it in plain characters.

    Args:
        timeline: What is drawn.
        width: How many columns the terminal has. More lanes than fit in it are drawn wider.

    Returns:
        Lines, without a line break at the end.
    """
    return render_rich(timeline, width).plain


def render_rich(timeline: Timeline, width: int = WIDTH) -> Text:
    """The same characters with colours, for a console of `rich`.

    Args:
        timeline: What is drawn.
        width: How many columns the terminal has.
    """
    grid = _Grid.of(timeline, width)
    lines = [Text(one_line(timeline.title), style="bold")]
    lines += [Text(one_line(timeline.subtitle), style="dim")] if timeline.subtitle else []
    lines += [Text(), *_heading(grid), *_body(grid)]
    if timeline.verdict:
        lines += [Text(), Text(one_line(timeline.verdict), style=_verdict_style(timeline))]
    if timeline.explanation:
        lines += [Text(), Text(visible(timeline.explanation))]
    return Text("\n", no_wrap=True).join(lines)


def _verdict_style(timeline: Timeline) -> str:
    return "bold red" if timeline.is_violation else "bold"


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the lanes stand: the first character of each, and how many it has."""

    timeline: Timeline
    starts: tuple[int, ...]
    widths: tuple[int, ...]
    width: int

    @classmethod
    def of(cls, timeline: Timeline, width: int) -> _Grid:
        gutter = max(2, len(str(len(timeline.steps)))) + _GAP
        lanes = range(len(timeline.lanes))
        wanted = [max(map(cell_len, _contents(timeline, lane))) for lane in lanes]
        widths = _narrowed(wanted, width - gutter - _GAP * (len(wanted) - 1))
        starts = [gutter + sum(widths[:lane]) + _GAP * lane for lane in lanes]
        right = starts[-1] + widths[-1] if widths else gutter
        return cls(timeline, tuple(starts), tuple(widths), max(width, right))

    @property
    def gutter(self) -> int:
        return self.starts[0] if self.starts else 0

    @property
    def right(self) -> int:
        return self.starts[-1] + self.widths[-1] if self.starts else 0

    def cell(self, lane: int, text: str) -> str:
        return clipped(text, self.widths[lane])


def _heading(grid: _Grid) -> Iterator[Text]:
    names, rule = Line(), Line()
    for number, lane in enumerate(grid.timeline.lanes):
        names.put(grid.starts[number], grid.cell(number, one_line(lane.name)), "bold")
        rule.put(grid.starts[number], "-" * grid.widths[number], "dim")
    yield names.text()
    yield rule.text()


def _body(grid: _Grid) -> Iterator[Text]:
    for row in rows(grid.timeline):
        match row.kind:
            case RowKind.INVOKED:
                yield _invoked(grid, row)
            case RowKind.STEP:
                yield from _step(grid, row.index)
            case RowKind.PARTING:
                yield _parting(grid)
            case RowKind.ANSWERED:
                yield from _answered(grid, row)


def _line(grid: _Grid, before: int) -> Line:
    """A new line after this many steps, with the bars of those that wait."""
    line = Line()
    for step in grid.timeline.steps[:before]:
        if step.blocked_until is not None and step.blocked_until >= before:
            line.put(grid.starts[step.lane], "|", "yellow")
    return line


def _invoked(grid: _Grid, row: Row) -> Text:
    operation = grid.timeline.operations[row.index]
    line = _line(grid, row.before)
    _spread(grid, line, operation.lane, f"> {one_line(operation.text)}", "bold")
    return line.text()


def _parting(grid: _Grid) -> Text:
    line = Line()
    end = line.put(0, f"== {PARTS} ", "bold red")
    line.fill(end, max(grid.right, end + 2), "=", "bold red")
    return line.text()


def _step(grid: _Grid, number: int) -> Iterator[Text]:
    timeline = grid.timeline
    step = timeline.steps[number]
    line = _line(grid, number)
    line.put(0, f"{number:>{grid.gutter - _GAP}}", "dim")
    style = "cyan" if step.kind == "clock" else _STYLES[short(step).kind]
    end = line.put(grid.starts[step.lane], _label(timeline, number, grid.widths[step.lane]), style)
    woken = timeline.granted(number)
    for one in woken:
        _grant(grid, line, one)
    for one in woken:
        _arrow(grid, line, (number, end), one)
    yield line.text()
    completed = [*woken, *([number] if step.blocked_until is None else [])]
    for one in completed:
        error = timeline.steps[one].error
        if error is not None:
            yield from _note(grid, number + 1, timeline.steps[one].lane, f"! {one_line(error)}", "red")


def _label(timeline: Timeline, number: int, width: int) -> str:
    """A step and what it answered: all of it, or what fits; a number of rows goes first."""
    text = short(timeline.steps[number]).text
    tails = _tails(timeline, number)
    fitting = (text + tail for tail in tails if cell_len(text + tail) <= width)
    return next(fitting, clipped(clipped(text, width - len(tails[-1])) + tails[-1], width))


def _tails(timeline: Timeline, number: int) -> tuple[str, ...]:
    step, answer = timeline.steps[number], outcome(timeline.steps[number])
    if step.blocked_until == len(timeline.steps):
        return (", waits to the end", ", waits")
    if step.blocked_until is not None:
        return (", waits", "")
    if not answer:
        return ("",)
    return (f": {answer}", "") if answer == "1 row" else (f": {answer}", f": {answer.removesuffix(' rows')}")


def _granted(timeline: Timeline, number: int) -> str:
    step = timeline.steps[number]
    if step.error is not None:
        return "ended: error"
    return f"granted: {answer}" if (answer := outcome(step)) else "granted"


def _grant(grid: _Grid, line: Line, number: int) -> None:
    lane = grid.timeline.steps[number].lane
    line.put(grid.starts[lane], grid.cell(lane, _granted(grid.timeline, number)), "yellow")


def _arrow(grid: _Grid, line: Line, source: tuple[int, int], woken: int) -> None:
    """Draw an arrow from the end of the releasing step's text to the step that goes on."""
    number, end = source
    timeline = grid.timeline
    lane = timeline.steps[woken].lane
    start = grid.starts[lane]
    if lane > timeline.steps[number].lane:
        line.fill(end + 1, start - 2, "-", "yellow")
        line.put(start - 2, ">", "yellow")
        return
    tip = start + cell_len(grid.cell(lane, _granted(timeline, woken))) + 1
    line.put(tip, "<", "yellow")
    line.fill(tip + 1, grid.starts[timeline.steps[number].lane] - 1, "-", "yellow")


def _answered(grid: _Grid, row: Row) -> Iterator[Text]:
    operation = grid.timeline.operations[row.index]
    style = "bold red" if operation.is_violation else "bold"
    line = _line(grid, row.before)
    if operation.is_violation:
        line.put(0, "!!", "bold red")
    answer = one_line(operation.answer) or "no answer"
    end = _spread(grid, line, operation.lane, f"< {answer}", style)
    model = f"<-- {instead}" if (instead := model_answers(operation)) else ""
    if model and end + 2 + cell_len(model) <= grid.width:
        line.put(end + 2, model, "bold green")
        model = ""
    yield line.text()
    if model:
        yield from _note(grid, row.before, operation.lane, model, "bold green")


def _spread(grid: _Grid, line: Line, lane: int, text: str, style: str) -> int:
    """Write a text from its lane on, over lanes where nothing stands; return the column after it."""
    start = grid.starts[lane]
    end = next((column - 1 for column in line.written() if column > start), grid.width)
    return line.put(start, clipped(text, end - start), style)


def _note(grid: _Grid, before: int, lane: int, text: str, style: str) -> Iterator[Text]:
    """A line that begins in its lane, or further left if it is long."""
    line = _line(grid, before)
    text = clipped(text, grid.width)
    line.put(max(0, min(grid.starts[lane], grid.width - cell_len(text))), text, style)
    yield line.text()


def _contents(timeline: Timeline, lane: int) -> Iterator[str]:
    """All texts that have to fit into a lane."""
    yield one_line(timeline.lanes[lane].name)
    for number, step in enumerate(timeline.steps):
        if step.lane == lane:
            yield short(step).text + _tails(timeline, number)[0]
            if step.blocked_until is not None:
                yield _granted(timeline, number)
    for operation in timeline.operations:
        if operation.lane == lane:
            yield f"> {one_line(operation.text)}"
            yield f"< {one_line(operation.answer) or 'no answer'}"


def _narrowed(wanted: Sequence[int], available: int) -> list[int]:
    """Narrow the widest lanes until all fit, or none can be narrowed further."""
    widths = list(wanted)
    while sum(widths) > available and max(widths, default=0) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    return widths
