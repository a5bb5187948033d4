"""What is known of the model by itself: its contracts, the domain's rules, its states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from payments_verify.report import parts
from payments_verify.report.saved import Check, Saved
from payments_verify.report.state_graph import picture
from pgweave.timeline.markup import Element, tag


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
                str(condition["text"]).partition(":")[2].strip() or condition["text"],
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
        picture(more.get("states_by_payment", {}), more.get("exercised", {})),
        class_="scroll",
        tabindex=0,
        role="region",
        aria_label="the state graph",
    )
    rows = [(name, parts.number(count)) for name, count in more.get("outcomes", {}).items()]
    yield parts.folded("How often each answer was given", parts.table(("answer", "times"), rows, right=(1,)))
