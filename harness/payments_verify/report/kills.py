"""The kill matrix: which technique notices which bug that is put into the service on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from payments_verify.report import parts
from payments_verify.report.saved import Saved
from payments_verify.timeline.markup import Content, Element, tag

_TITLE = "Kill matrix"
_KILLED = frozenset({"killed", "caught", "found", "violated", "detected"})
_SURVIVED = frozenset({"survived", "missed", "holds", "not found"})


def kills(report: Saved) -> Element:
    """The matrix, or plainly that it was not made."""
    if report.mutants is None:
        return parts.section(
            "mutants",
            _TITLE,
            parts.note(
                "Not run. ",
                tag("code", "payments-verify mutants"),
                " puts known bugs into copies of the service, and tells which technique notices which.",
            ),
        )
    mutants: Sequence[Mapping[str, Any]] = report.mutants.get("mutants", ())
    found = [_killed_by(each) for each in mutants]
    techniques = list(report.mutants.get("techniques", ())) or list(
        dict.fromkeys(technique for results in found for technique in results)
    )
    names = [_name(each) if isinstance(each, Mapping) else str(each) for each in techniques]
    rows = [
        (
            _name(mutant),
            _about(mutant),
            *(_cell(results.get(technique)) for technique in names),
            f"{sum(verdict in _KILLED for verdict in results.values())}",
        )
        for mutant, results in zip(mutants, found, strict=True)
    ]
    killed = sum(any(verdict in _KILLED for verdict in results.values()) for results in found)
    return parts.section(
        "mutants",
        _TITLE,
        parts.note(
            f"{killed} of {len(mutants)} bugs put into copies of the service are noticed by at least"
            " one technique."
        ),
        parts.table(("bug", "", *names, "noticed by"), rows, right=(2 + len(names),)),
    )


def _killed_by(mutant: Mapping[str, Any]) -> dict[str, str]:
    """What each technique said of a mutant: a word for each, or the names of those that noticed it."""
    for name in ("results", "verdicts", "techniques", "killed_by"):
        found = mutant.get(name)
        if isinstance(found, Mapping):
            return {str(technique): _word(verdict) for technique, verdict in found.items()}
        if isinstance(found, list | tuple):
            return {str(technique): "killed" for technique in found}
    return {}


def _word(verdict: object) -> str:
    if isinstance(verdict, Mapping):
        verdict = verdict.get("verdict", verdict.get("status", verdict.get("killed")))
    if isinstance(verdict, bool):
        return "killed" if verdict else "survived"
    return "not run" if verdict is None else str(verdict)


def _name(mutant: Mapping[str, Any]) -> str:
    return str(next((mutant[each] for each in ("name", "id", "title") if each in mutant), "?"))


def _about(mutant: Mapping[str, Any]) -> str:
    return str(next((mutant[each] for each in ("about", "title", "what", "anomaly") if each in mutant), ""))


def _cell(verdict: str | None) -> Content:
    if verdict is None or verdict == "not run":
        return tag("span", "–", class_="never", title="not run")
    if verdict in _KILLED:
        return tag("span", "✓", class_="verdict-good", title="noticed")
    if verdict in _SURVIVED:
        return tag("span", "·", class_="never", title="not noticed")
    return tag("span", verdict, class_="verdict-open")
