"""An attempt to linearize a history, drawn: a lane a client, a bar an operation, real time to the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from payments_verify.report.places import Scale, by_event, by_time, lanes
from pgweave.history.attempt import Attempt, Call
from pgweave.timeline import elements as svg
from pgweave.timeline.elements import CHARACTER, Element
from pgweave.visible import clipped, one_line

LANE = 46
_TOP = 26
_LEFT = 12
_BAR = 26
_ROOM_FOR_WORDS = 200


def drawing(attempt: Attempt) -> tuple[Element, Element]:
    """The picture, and the lanes' names that stand at its left.

    The places on the scale of the clock are in attributes, for the page's script: ``data-t`` of a bar is its
    beginning and width, of a point its place, of the line their places in the order.
    """
    rows, scale, clock = lanes(attempt), by_event(attempt), by_time(attempt)
    height = _TOP + LANE * len(rows) + 6
    width = _LEFT + scale.width + 16
    root = svg.root(width, height, f"{attempt.label}: operations over real time", "attempt-drawing")
    tops: dict[int, float] = {
        number: _TOP + LANE * row for row, lane in enumerate(rows) for number in lane.calls
    }
    for row in range(len(rows)):
        svg.box(root, (0, _TOP + LANE * row, width, LANE - 4), "band", 0)
    _horizon(root, scale, clock, height)
    _line(root, attempt, (scale, clock), tops)
    rooms = {number: room for lane in rows for number, room in _rooms(lane.calls, scale)}
    for number in range(len(attempt.calls)):
        _bar(root, attempt, number, (scale, clock), (tops[number], rooms[number]))
    names = svg.root(96, height, "the clients", "attempt-names")
    for row, lane in enumerate(rows):
        svg.text(names, 0, _TOP + LANE * row + 25, lane.name, "name")
    return root, names


def hint(attempt: Attempt, number: int) -> str:
    """What is known of an operation, for a pointer that rests on it."""
    call = attempt.calls[number]
    lines = [f"process {call.process}: {call.text}", f"asked {call.asked}"]
    lines.append("not answered" if call.answered is None else f"answered {call.answered}")
    if call.place is not None:
        moment = attempt.order.index(number)
        lines.append(f"state before: {attempt.moments[moment].state}")
        lines.append(f"state after: {attempt.moments[moment + 1].state}")
    blocked = {each.call: each for each in attempt.blocked}
    if number in blocked:
        lines.append(f"state before: {attempt.moments[-1].state}")
        lines.append(f"{attempt.standard} {blocked[number].expected}")
    return "\n".join(lines)


def class_of(attempt: Attempt, number: int) -> str:
    """How an operation is drawn."""
    call = attempt.calls[number]
    if call.place is not None:
        return "placed" if call.returned is not None else "placed open"
    if number in {each.call for each in attempt.blocked}:
        return "blocked"
    return "left" if call.returned is not None else "left open"


def _rooms(calls: Sequence[int], scale: Scale) -> Iterator[tuple[int, float]]:
    """How wide each operation's label of a lane may be: up to where the next operation begins."""
    ordered = sorted(calls, key=lambda number: scale.spans[number])
    ends = [scale.spans[number][0] for number in ordered[1:]]
    for number, end in zip(ordered, [*ends, scale.width + 8], strict=True):
        begin, own_end = scale.spans[number]
        yield number, max(end, own_end) - begin


def _bar(
    root: Element,
    attempt: Attempt,
    number: int,
    scales: tuple[Scale, Scale | None],
    place: tuple[float, float],
) -> None:
    (scale, clock), (top, room) = scales, place
    call = attempt.calls[number]
    begin, end = scale.spans[number]
    width = max(end - begin, 3)
    bar = svg.group(root, f"call {class_of(attempt, number)}", hint(attempt, number))
    bar.set("data-call", str(number))
    x, y = _LEFT + begin, top + 8
    svg.box(bar, (x, y, width, _BAR), "bar", 3)
    if clock is not None:
        from_, to = clock.spans[number]
        bar.set("data-t", f"{svg.number(_LEFT + from_)} {svg.number(max(to - from_, 3))}")
    svg.text(bar, x + 5, y + 17, _label(attempt, number, call, max(room, width)), "mono")
    if number in scale.points:
        point = _LEFT + scale.points[number]
        dot_place = {"cx": svg.number(point), "cy": svg.number(y + _BAR), "r": "3.5", "class": "point"}
        dot = ET.SubElement(bar, "circle", dot_place)
        if clock is not None:
            dot.set("data-t", svg.number(_LEFT + clock.points[number]))


def _label(attempt: Attempt, number: int, call: Call, width: float) -> str:
    room = int((width - 8) / CHARACTER)
    name = attempt.name_of(number)
    return clipped(f"{name} {one_line(call.text)}".strip(), room, "…") if room > len(name) else name[:room]


def _horizon(root: Element, scale: Scale, clock: Scale | None, height: float) -> None:
    if scale.horizon is None:
        return
    x = _LEFT + scale.horizon
    found = svg.group(root, "horizon", "no order of these operations explains the answer that came here")
    svg.path(found, f"M{svg.number(x)} {_TOP - 6}V{svg.number(height)}", "cut")
    is_left = scale.horizon < _ROOM_FOR_WORDS
    anchor = "start" if is_left else "end"
    svg.text(found, x + (6 if is_left else -6), _TOP - 10, "no order gets past this answer", "said", anchor)
    if clock is not None and clock.horizon is not None:
        found.set("data-t", svg.number(clock.horizon - scale.horizon))


def _line(
    root: Element, attempt: Attempt, scales: tuple[Scale, Scale | None], tops: dict[int, float]
) -> None:
    """The order as a line from point to point."""
    scale, clock = scales
    if len(attempt.order) < 2:
        return

    def path(points: Scale) -> str:
        places = (
            f"{svg.number(_LEFT + points.points[each])} {svg.number(tops[each] + 8 + _BAR)}"
            for each in attempt.order
        )
        return "M" + "L".join(places)

    more = {} if clock is None else {"data_t": path(clock)}
    svg.path(root, path(scale), "order", **more)
