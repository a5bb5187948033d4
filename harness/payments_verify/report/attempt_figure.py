"""An attempt to linearize a history as a figure of a page: the picture, and the specification's answers.

It is read without JavaScript too. With it, the arrow keys walk along the order, and each operation shows its
call, its response, and the state before and after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from payments_verify.report.attempt_svg import class_of, drawing
from payments_verify.report.places import by_time
from pgweave.history.attempt import Attempt, Candidate, letter, which_prefix, why_stuck
from pgweave.timeline.markup import Element, data, tag
from pgweave.visible import counted

_LEGEND = {
    "placed": "has a place in the order",
    "blocked": "has to come next, and cannot",
    "left": "comes later, or was not answered",
}


def figure(attempt: Attempt) -> Element:
    """The figure, for a page that has the report's style and script.

    Args:
        attempt: What is drawn.

    Returns:
        A ``figure`` element. A page may have several.
    """
    picture, names = drawing(attempt)
    return tag(
        "figure",
        tag("p", _summary(attempt), class_="sum"),
        _failure(attempt),
        tag("figcaption", tag("ul", _legend(attempt), class_="legend")),
        tag(
            "div",
            names,
            tag(
                "div",
                picture,
                class_="scroll",
                tabindex=0,
                role="region",
                aria_label=f"{attempt.label}: operations over real time; the arrow keys walk along the order",
            ),
            class_="lanes",
        ),
        _walk(attempt),
        _in_full(attempt),
        data(msgspec.json.encode(_content(attempt))),
        class_="attempt",
    )


def _summary(attempt: Attempt) -> str:
    before = f", the first {attempt.hidden} of which are not drawn" if attempt.hidden else ""
    after = f" {counted(attempt.later, 'later operation')} are not drawn." if attempt.later else ""
    if attempt.is_linearizable:
        count = len(attempt.order) + attempt.hidden
        return f"{attempt.label}: a linearization of {counted(count, 'operation')}{before}.{after}"
    prefix = which_prefix(is_longest=attempt.is_longest)
    return (
        f"{attempt.label}: {prefix} has {counted(len(attempt.order) + attempt.hidden, 'operation')}{before}; "
        f"{attempt.explained} of {attempt.answered} answers are explained.{after}"
    )


def _failure(attempt: Attempt) -> Element | None:
    """The point of failure, in words: it is seen without a script, and without a pointer."""
    if attempt.is_linearizable:
        return None
    rows = [
        tag(
            "tr",
            tag("th", letter(number), scope="row"),
            tag("td", f"process {attempt.calls[each.call].process}"),
            tag("td", tag("code", attempt.calls[each.call].text)),
            tag("td", tag("code", each.expected, class_="model")),
        )
        for number, each in enumerate(attempt.blocked)
    ]
    head = [tag("th", name, scope="col") for name in ("", "client", "observed", attempt.standard)]
    others = (
        f" Nor in the other states that prefixes as long as this end in: {', '.join(attempt.other_states)}."
    )
    return tag(
        "div",
        tag(
            "p",
            f"One of these has to come next, and {why_stuck(is_longest=attempt.is_longest)}. The state is ",
            tag("code", attempt.moments[-1].state),
            "." + (others if attempt.other_states else ""),
        ),
        tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", rows)), class_="wide"),
        class_="failure",
    )


def _legend(attempt: Attempt) -> Iterator[Element]:
    used = {class_of(attempt, number).split()[0] for number in range(len(attempt.calls))}
    for class_, meaning in _LEGEND.items():
        if class_ in used:
            yield tag("li", tag("i", class_=f"swatch {class_}"), meaning)
    if attempt.order:
        yield tag("li", tag("i", class_="swatch dot"), "took effect here, in this order")


def _walk(attempt: Attempt) -> Element:
    names = ("⇤ first", "← previous", "next →", "last ⇥")
    buttons = [tag("button", name, type="button") for name in names]
    scale = None
    if by_time(attempt) is not None:
        scale = tag("label", tag("input", type="checkbox", class_="to-scale"), "time to scale")
    return tag(
        "div",
        tag("div", buttons, tag("output"), scale, class_="buttons"),
        tag("div", class_="panel", aria_live="polite"),
        class_="walk",
        hidden=True,
    )


def _in_full(attempt: Attempt) -> Element:
    rows = [
        tag(
            "tr",
            tag("th", attempt.name_of(number), scope="row"),
            tag("td", f"process {attempt.calls[number].process}"),
            tag("td", tag("code", attempt.calls[number].text)),
            tag("td", tag("code", attempt.moments[place].state)),
        )
        for place, number in enumerate(attempt.order, 1)
    ]
    head = [tag("th", name, scope="col") for name in ("", "client", "operation", "state after")]
    return tag(
        "details",
        tag("summary", "The order in full"),
        tag("div", tag("table", tag("thead", tag("tr", head)), tag("tbody", rows)), class_="wide"),
    )


def _content(attempt: Attempt) -> dict[str, object]:
    """What the script shows: by operation and by place of the order."""
    return {
        "standard": attempt.standard,
        "linearizable": attempt.is_linearizable,
        "order": attempt.order,
        "blocked": [each.call for each in attempt.blocked],
        "calls": [
            {
                "name": attempt.name_of(number),
                "process": call.process,
                "text": call.text,
                "asked": call.asked,
                "answered": call.answered,
                "took": None
                if call.returned_ns is None or call.called_ns is None
                else f"{(call.returned_ns - call.called_ns) / 1e6:.3f} ms",
            }
            for number, call in enumerate(attempt.calls)
        ],
        "moments": [
            {"state": moment.state, "next": [_candidate(each) for each in moment.candidates]}
            for moment in attempt.moments
        ],
    }


def _candidate(candidate: Candidate) -> dict[str, object]:
    return {"call": candidate.call, "expected": candidate.expected, "fits": candidate.fits}
