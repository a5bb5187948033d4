"""What was tried of the service: interleavings, transitions and outcomes, mutants, faults, histories."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from payments_verify.called import command_line
from payments_verify.report import parts
from payments_verify.report.saved import Check, Saved
from payments_verify.state_edges import Edge, edges_of
from pgweave.timeline.markup import Content, Element, tag
from pgweave.visible import counted

_WIDEST_LOG = 9.0


def interleavings(report: Saved) -> Element:
    """Which orders of steps were run, and of how many."""
    content: list[Content] = []
    for check in report.of_kind("interleavings"):
        content += _explored(check)
    return parts.section("interleavings", "Interleavings", content or parts.note("Not run."))


def _explored(check: Check) -> Iterator[Element]:
    scenarios: list[dict[str, Any]] = check.more.get("scenarios", [])
    whole = sum(bool(each["complete"]) for each in scenarios)
    yield tag("h3", check.name)
    yield parts.note(
        f"{whole} of {counted(len(scenarios), 'scenario')} complete: one run of each class of schedules that"
        f" differ only in the order of independent steps, {check.cases:,} runs in all."
    )
    rows = [
        (
            each["scenario"],
            parts.verdict(each["verdict"]),
            "complete"
            if each["complete"]
            else "stopped at a violation"
            if each["problem"]
            else "not complete",
            parts.number(each["schedules"]),
            _naive(each.get("naive")),
            _reduction(each["schedules"], each.get("naive")),
            parts.number(each["deepest"]),
            parts.number(each["outcomes"]),
        )
        for each in scenarios
    ]
    head = ("scenario", "verdict", "", "run", "of", "reduction", "steps", "ways to end")
    yield parts.table(head, rows, right=(3, 4, 6, 7))


def _naive(naive: Mapping[str, Any] | None) -> Content:
    if naive is None:
        return "not counted"
    if naive["known"] == "counted":
        return f"{naive['schedules']:,.0f}"
    error = naive["standard_error"]
    title = f"estimated from {naive['probes']} random schedules, ± {error:,.0f}"
    return tag("span", f"≈ {_rounded(naive['schedules'])}", title=title)


def _rounded(value: float) -> str:
    if value < 1:
        return f"{value:.0f}"
    digits = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / digits) * digits:,}"


def _reduction(schedules: int, naive: Mapping[str, Any] | None) -> Content:
    """A bar as long as the logarithm of the number of schedules, filled as far as they were run."""
    if naive is None or schedules < 1 or naive["schedules"] < schedules:
        return ""
    whole = min(1.0, math.log10(max(naive["schedules"], 1)) / _WIDEST_LOG)
    run = min(whole, math.log10(max(schedules, 1)) / _WIDEST_LOG)
    bar = tag("i", tag("i", style=f"width:{100 * run / whole if whole else 100:.0f}%"), class_="bar")
    bar.set("style", f"width:{max(4, 110 * whole):.0f}px")
    return [bar, f" ÷ {naive['schedules'] / schedules:,.1f}"]


def coverage(report: Saved) -> Element:
    """Which transitions of the model each technique has exercised, and how often."""
    techniques = [
        (_short(check.name), _transitions(edges_of(check.more["exercised"])))
        for check in report.checks
        if "exercised" in check.more
    ]
    if not techniques:
        return parts.section("coverage", "Transitions and outcomes", parts.note("Not run."))
    everything = sorted({each for _, found in techniques for each in found}, key=_by_state)
    rows: list[tuple[Content, ...]] = [
        (*_named(each), *(_cell(found.get(each, 0)) for _, found in techniques)) for each in everything
    ]
    reached = [
        (name, f"{len(found)} of {len(everything)}", parts.number(sum(found.values())))
        for name, found in techniques
    ]
    outcomes = _by_outcome(techniques)
    head = [name for name, _ in techniques]
    numbers = range(1, 1 + len(techniques))
    return parts.section(
        "coverage",
        "Transitions and outcomes",
        parts.note(
            "A transition is a state of the payment, a command, and the answer. In concurrent histories it is"
            " the linearization that says in which state an operation took effect; interleavings count each"
            " different history once."
        ),
        parts.table(("technique", "transitions", "times"), reached, right=(1, 2)),
        tag("h3", "Outcomes by technique"),
        parts.table(("command and answer", *head), outcomes, right=numbers),
        parts.folded(
            f"All {len(everything)} transitions by technique",
            parts.table(("state", "command and answer", *head), rows, right=range(2, 2 + len(techniques))),
        ),
        *_classes_of_inputs(report),
    )


def _classes_of_inputs(report: Saved) -> Iterator[Element]:
    """How often programs came to each class of inputs; what a binding leaves out has its reason."""
    checks = [check for check in report.checks if "inputs" in check.more]
    if not checks:
        return
    names = dict.fromkeys(
        name for check in checks for each in ("reached", "left_out") for name in check.more["inputs"][each]
    )
    rows: list[tuple[Content, ...]] = [(name, *(_came_to(check, name) for check in checks)) for name in names]
    head = ("class of inputs", *(_short(check.name) for check in checks))
    yield parts.folded(
        f"All {len(names)} classes of inputs by technique",
        parts.table(head, rows, right=range(1, 1 + len(checks))),
    )


def _came_to(check: Check, name: str) -> Content:
    inputs = check.more["inputs"]
    why = inputs["left_out"].get(name)
    return _cell(inputs["reached"].get(name, 0)) if why is None else f"left out: {why}"


def _transitions(edges: Mapping[Edge, int]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for edge, times in edges.items():
        found[edge.before, edge.command, edge.answer] += times
    return found


_STATE_ORDER = ("none", "pending", "authorized", "captured", "failed")


def _by_state(transition: tuple[str, str, str]) -> tuple[int, str, str]:
    state, command, answer = transition
    return (_STATE_ORDER.index(state) if state in _STATE_ORDER else 99, command, answer)


def _named(transition: tuple[str, str, str]) -> tuple[str, str]:
    state, command, answer = transition
    return ("no payment" if state == "none" else state, f"{command} → {answer}")


def _by_outcome(
    techniques: Sequence[tuple[str, Counter[tuple[str, str, str]]]],
) -> list[tuple[Content, ...]]:
    counts = []
    for _, found in techniques:
        sums: Counter[str] = Counter()
        for (_, command, answer), count in found.items():
            sums[f"{command} → {answer}"] += count
        counts.append(sums)
    names = sorted({name for sums in counts for name in sums})
    return [(name, *(_cell(sums[name]) for sums in counts)) for name in names]


def _cell(count: int) -> Element:
    if not count:
        return tag("span", "–", class_="never", title="never")
    level = min(4, 1 + int(math.log10(count)))
    return tag("span", _compact(count), class_=f"heat-{level}", title=f"{count:,} times")


def _compact(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1_000:,.0f}k"


def _short(name: str) -> str:
    return {
        "the bounded model, every state and transition": "bounded model",
    }.get(name, name.replace("stateful machine", "machine").replace("every interleaving", "interleavings"))


def faults(report: Saved) -> Element:
    """What went wrong on purpose, and what was lost by it."""
    content: list[Content] = []
    for check in report.of_kind("faults"):
        content.append(tag("h3", check.name, " ", parts.verdict(check.verdict)))
        content += _under_load(check) if "windows" in check.more else [_at_statements(check)]
    return parts.section("faults", "Faults", content or parts.note("Not run."))


def _under_load(check: Check) -> Iterator[Content]:
    """What windows of load under faults came to."""
    yield parts.figures(
        (name, parts.number(check.more.get(name))) for name in ("windows", "acknowledged", "lost", "doubled")
    )
    names = ("injected", "effects", "missed", "unknown", "acknowledged", "lost", "doubled")
    rows = [
        (
            each["fault"],
            *(parts.number(each[name]) for name in names),
            _seconds(each["served_again_median_s"]),
            _seconds(each["served_again_worst_s"]),
        )
        for each in check.more.get("faults", [])
    ]
    head = (
        *("fault", "injected", "struck", "missed", "unanswered", "captures acknowledged", "lost"),
        *("doubled", "serves again", "at most"),
    )
    yield parts.table(head, rows, right=range(1, len(head)))


def _at_statements(check: Check) -> Content:
    """What faults at each statement of races came to."""
    names = ("places", "injected", "unanswered", "acknowledged", "lost", "doubled")
    rows = [
        (each["scenario"], each["fault"], *(parts.number(each[name]) for name in names))
        for each in check.more.get("faults", [])
    ]
    head = ("scenario", "fault", "statements", *names[1:3], "captures acknowledged", *names[4:])
    return parts.table(head, rows, right=range(2, len(head)))


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def histories(report: Saved) -> Element:
    """Where what the clients saw is kept, and how to check it again."""
    rows = [
        (
            check.name,
            parts.number(check.cases),
            parts.number(check.more.get("rounds", check.more.get("windows"))),
            parts.verdict(check.verdict),
            tag("code", str(check.more["histories"])),
        )
        for check in report.checks
        if "histories" in check.more
    ]
    if not rows:
        return parts.section("histories", "Histories", parts.note("Not run."))
    return parts.section(
        "histories",
        "Histories",
        parts.note(
            "What clients sent and heard, one file a round or window. ",
            tag("code", command_line("history", "FILE", "--html", "PAGE")),
            " checks one again, and draws it.",
        ),
        parts.table(("recorded by", "operations", "histories", "linearizable", "folder"), rows, right=(1, 2)),
    )
