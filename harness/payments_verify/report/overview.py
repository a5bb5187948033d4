"""The top of the page: the verdict, what was checked and how much, and each violation."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from payments_verify.report import attempt_figure, parts
from payments_verify.report.saved import Check, Saved
from payments_verify.result import Reach
from pgweave.history.attempt import Attempt
from pgweave.timeline import html as schedule_page
from pgweave.timeline.markup import Element, tag
from pgweave.timeline.model import Timeline

KINDS = {
    "contracts": "CrossHair, on all paths",
    "equivalence": "CrossHair, on all paths",
    "proof": "Z3, for any number of clients",
    "exploration": "every state of the bounded model",
    "differential": "drawn programs, each answer compared",
    "interleavings": "every order of steps",
    "linearizability": "histories of racing clients",
    "faults": "histories under faults",
    "static": "the code's statements and the schema, read",
    "interrupted": "was not run",
}
"""How each kind of check looks for what is wrong."""

REACHES = {
    "Proved for all": {
        "contracts": "the model's contracts, for all values",
        "equivalence": "that the service's rules decide as the model does, for all values",
        "proof": "the protocol, statement by statement, for any number of clients, payments and keys",
    },
    "Exhausted up to a bound": {
        "exploration": "the states of the model, with few amounts, keys and instants",
        "interleavings": "on a real database, every order in which the statements of the scenarios can run",
    },
    "Sampled": {
        "differential": "programs of commands, each answer compared with the model's",
        "linearizability": "histories of clients that race",
        "faults": "histories under faults",
    },
}
"""How far a check reaches that holds: to all there is, to all within a bound, or as far as it was tried."""


def heading(report: Saved) -> Iterator[Element]:
    """The title, the verdict and where it comes from."""
    yield tag("h1", "payments-core: what was verified")
    kind, mark = {"holds": ("good", "✓"), "violated": ("bad", "✗"), "no verdict": ("open", "?")}[
        report.verdict
    ]
    interrupted = (
        " Interrupted: what was finished is here, the rest did not run." if report.interrupted else ""
    )
    missed = any(_as_far_as(check) for check in report.checks)
    holding = sum(check.verdict == "holds" for check in report.checks)
    yield tag(
        "p",
        tag("span", mark, class_="mark", aria_hidden="true"),
        tag(
            "strong",
            report.verdict,
            " as far as it reached" if missed and report.verdict == "holds" else None,
        ),
        f"{interrupted} {holding} of {len(report.checks)} checks hold.",
        class_=f"banner {kind}",
    )
    machine = report.machine
    yield parts.figures(
        [
            ("finished", report.finished_at),
            ("took", f"{report.seconds:,.0f} s"),
            ("effort", "quick: less of what cannot be exhausted" if report.quick else "full"),
            ("seed", str(report.seed)),
            ("machine", f"{machine.get('cores')} cores, {machine.get('system')}"),
            ("Python", str(machine.get("python"))),
            ("PostgreSQL", str(machine.get("postgres"))),
        ]
    )


def checks(report: Saved) -> Element:
    """What was checked and how much."""
    rows = [
        (
            tag("a", check.name, href=f"#violation-{place}") if check.counterexample else check.name,
            KINDS.get(check.kind, check.kind),
            parts.number(check.cases),
            (parts.verdict(check.verdict), _as_far_as(check)),
            f"{check.seconds:.1f}",
        )
        for place, check in enumerate(report.checks)
    ]
    return parts.section(
        "checks",
        "What was checked",
        parts.note(
            "Cases are conditions, paths, transitions, commands, schedules or operations, whatever the check"
            " is about."
        ),
        parts.table(("check", "how", "cases", "verdict", "seconds"), rows, right=(2, 4)),
    )


def _as_far_as(check: Check) -> str:
    """What a check that holds did not reach; empty if it reached everything."""
    reach = check.more.get("reach")
    if check.verdict != "holds" or not reach:
        return ""
    missed = reach["not_reached"]
    told = str(Reach(reach["kinds"], reach["planned"], set(reach["planned"]).difference(missed)))
    return f" for {told}" if told else ""


def reaches(report: Saved) -> Element:
    """What holds for all, what up to which bound, and what as far as it was tried."""
    open_kinds = {
        check.kind
        for check in report.checks
        if check.verdict != "holds" or not all(each["complete"] for each in check.more.get("scenarios", ()))
    }
    holding = {check.kind for check in report.checks} - open_kinds
    told = [
        (title, [what for kind, what in kinds.items() if kind in holding]) for title, kinds in REACHES.items()
    ]
    return parts.section(
        "reaches",
        "How far it reaches",
        [
            tag("p", tag("strong", title), ": ", "; ".join(what) or "nothing that holds", ".")
            for title, what in told
        ],
    )


def violations(report: Saved) -> Element | None:
    """Each check that does not hold, with its evidence; None if all do."""
    found = [
        violation(place, check)
        for place, check in enumerate(report.checks)
        if check.counterexample is not None
    ]
    if not found:
        return None
    title = "Violations" if report.verdict == "violated" else "Without a verdict"
    return parts.section("violations", title, found)


def violation(place: int, check: Check, *, is_folded: bool = True) -> Element:
    """A check that does not hold, with its evidence; the text of what is drawn is folded, or is not."""
    evidence = parts.text(check.counterexample or "")
    return tag(
        "article",
        tag("h3", check.name, " ", parts.verdict(check.verdict)),
        [_drawing(each) for each in check.timelines],
        parts.folded("The same as text", evidence) if check.timelines and is_folded else evidence,
        id=f"violation-{place}",
        class_="violation",
    )


def _drawing(drawing: dict[str, object]) -> Element:
    title = tag("h4", str(drawing.get("title", "")))
    if drawing.get("kind") == "schedule":
        timeline = msgspec.convert(drawing["timeline"], Timeline)
        return tag(
            "div",
            title,
            tag("p", timeline.subtitle, class_="note") if timeline.subtitle else None,
            tag("p", timeline.verdict, class_="verdict violated") if timeline.verdict else None,
            schedule_page.figure(timeline),
        )
    return tag("div", title, attempt_figure.figure(msgspec.convert(drawing["attempt"], Attempt)))
