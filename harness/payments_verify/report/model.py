"""What is known of the model by itself: its contracts, the domain's rules, its states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from payments_verify.report import parts
from payments_verify.report.saved import Check, Saved
from payments_verify.report.state_graph import Arrow, Box, draw_state_graph
from payments_verify.state_edges import Edge, edges_of
from pgweave.timeline.markup import Element, tag
from pgweave.visible import counted


def contracts(report: Saved) -> Element:
    """Every contract with its status, by invariant; and the rules that are written twice."""
    content = [*_contracts(report), *_equivalence(report)]
    return parts.section("contracts", "Contracts", content or parts.note("Not run."))


def _contracts(report: Saved) -> Iterator[Element]:
    for check in report.of_kind("contracts"):
        conditions: list[dict[str, Any]] = check.more.get("conditions", [])
        yield parts.note(
            f"{check.more.get('confirmed')} of {check.more.get('total')} contracts of the model are confirmed"
            " on all paths, by an SMT solver that runs each function on symbolic arguments."
        )
        by_invariant: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for condition in conditions:
            by_invariant[condition["invariant"]].append(condition)
        rows = [
            (
                invariant,
                condition["says"],
                tag("code", str(condition["function"]).removeprefix("payments_model.")),
                parts.verdict(condition["status"]),
                f"{condition['seconds']:.1f}",
            )
            for invariant in sorted(by_invariant, key=_order)
            for condition in by_invariant[invariant]
        ]
        yield parts.table(("invariant", "what holds", "of", "status", "seconds"), rows, right=(4,))


def _order(invariant: str) -> tuple[int, str]:
    digits = invariant.removeprefix("I")
    return (int(digits) if digits.isdigit() else 1_000, invariant)


def _equivalence(report: Saved) -> Iterator[Element]:
    for check in report.of_kind("equivalence"):
        yield tag("h3", "The model's rules and the domain's are the same")
        yield parts.note(
            f"{check.more.get('confirmed')} of {check.more.get('total')} rules are shown equal, each in two"
            " ways: no path on which they differ, and the contract that they agree, confirmed."
        )
        rows = [
            (
                rule["rule"],
                parts.number(rule["paths"]),
                "all" if rule["exhausted"] else "not all",
                "confirmed" if rule["confirmed"] else "not confirmed",
                parts.verdict(rule["verdict"]),
            )
            for rule in check.more.get("rules", [])
        ]
        yield parts.table(("rule", "paths", "followed", "contract", "verdict"), rows, right=(1,))


def state_graph(report: Saved) -> Element:
    """The states of a payment, and how the commands lead from one to another."""
    content: list[Element] = []
    for check in report.of_kind("exploration"):
        content += _graph(check)
    return parts.section("states", "State graph", content or parts.note("Not run."))


def _graph(check: Check) -> Iterator[Element]:
    more = check.more
    yield parts.figures(
        [
            ("states", parts.number(more.get("states"))),
            ("transitions", parts.number(more.get("transitions"))),
            ("depth", parts.number(more.get("depth"))),
            ("answers", parts.number(len(more.get("outcomes", {})))),
        ]
    )
    yield parts.note(
        "Every state that a few keys, amounts and instants can reach, with every command tried in each. A box"
        " is a state of the payment, and how many states of the model it stands for; an arrow has the"
        " commands, their answers, and how often each was taken."
    )
    yield tag(
        "div",
        _picture(more.get("states_by_payment", {}), edges_of(more.get("exercised", ()))),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="the state graph",
    )
    rows = [(name, parts.number(count)) for name, count in more.get("outcomes", {}).items()]
    yield parts.folded("How often each answer was given", parts.table(("answer", "times"), rows, right=(1,)))


def _picture(states: Mapping[str, int], edges: Mapping[Edge, int]) -> Element:
    """Draw the states of a payment, with how many states of the model each stands for, and the edges."""
    between: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for edge, times in edges.items():
        between[edge.before, edge.after].append((f"{edge.command}: {edge.answer}", times))
    boxes = [_box(name, count, between.get((name, name), [])) for name, count in states.items()]
    arrows = [
        Arrow(
            _titled(before),
            _titled(after),
            tuple(f"{label} ×{times:,}" for label, times in labels),
            _lines(labels),
        )
        for (before, after), labels in between.items()
        if before != after
    ]
    return draw_state_graph(boxes, arrows, "the states of a payment")


def _box(name: str, count: int, staying: Sequence[tuple[str, int]]) -> Box:
    total = sum(times for _, times in staying)
    hint = f"{name}: {counted(count, 'state')}; {total:,} answers change nothing:\n{_lines(staying)}"
    return Box(_titled(name), (counted(count, "state"), f"{total:,} stay"), hint)


def _titled(state: str) -> str:
    return "no payment" if state == "none" else state


def _lines(labels: Sequence[tuple[str, int]]) -> str:
    return "\n".join(f"{label}, {times:,} times" for label, times in labels)
