"""What holds each invariant: contracts, constraints, exploration, scenarios, tests and mutants, by id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.pages.blocks import code, table
from lab.pages.sources import Sources
from payments_verify.model_checks.contracts import Condition

KINDS: Mapping[str, Callable[[Sources, str], Sequence[str]]] = {
    "contracts": lambda sources, id_: [c.text for c in sources.contracts if c.invariant == id_],
    "constraints": lambda sources, id_: sources.constraints.get(id_, ()),
    "exploration": lambda sources, id_: sources.rules.get(id_, ()),
    "any number": lambda sources, id_: sources.conjuncts.get(id_, ()),
    "scenarios": lambda sources, id_: sources.scenarios.get(id_, ()),
    "tests": lambda sources, id_: sources.tests.get(id_, ()),
    "mutants": lambda sources, id_: sources.mutants.get(id_, ()),
}
"""The kinds of evidence: the columns of the matrix."""


@dataclass(frozen=True)
class Gap:
    """A rule without evidence of a kind, unexplained; or an explanation that explains nothing."""

    invariant: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}, {self.kind}: {self.what}"


def gaps(sources: Sources) -> Sequence[Gap]:
    """What the matrix must not have: empty cells that nobody explains, and ids that nobody knows."""
    found = []
    for id_ in sources.invariants:
        for kind, evidence in KINDS.items():
            excuse = sources.excuses.get(id_, {}).get(kind)
            if not evidence(sources, id_) and excuse is None:
                found.append(Gap(id_, kind, "nothing holds it, and specs/traceability.toml does not say why"))
            if evidence(sources, id_) and excuse is not None:
                found.append(Gap(id_, kind, "is explained as empty in specs/traceability.toml, and is not"))
    return [*found, *_unknown(sources)]


def _unknown(sources: Sources) -> Sequence[Gap]:
    known = {*sources.invariants, "Precedence"}
    named = {
        "contracts": {condition.invariant for condition in sources.contracts},
        "constraints": set(sources.constraints),
        "exploration": set(sources.rules),
        "any number": set(sources.conjuncts),
        "scenarios": set(sources.scenarios),
        "tests": set(sources.tests),
        "mutants": set(sources.mutants),
        "specs/traceability.toml": set(sources.excuses),
    }
    return [
        Gap(id_, kind, "the specification has no such invariant")
        for kind, ids in named.items()
        for id_ in sorted(ids - known)
    ]


def matrix(sources: Sources) -> str:
    """The invariants against the kinds of evidence, as a Markdown table of counts."""
    rows = []
    for id_, says in sources.invariants.items():
        counts = [len(evidence(sources, id_)) for evidence in KINDS.values()]
        rows.append((f"{id_}. {says}", *(str(count) if count else "–" for count in counts)))
    return table(("invariant", *KINDS), rows)


def evidence_of(sources: Sources, id_: str, statuses: Mapping[str, str]) -> str:
    """All that holds an invariant, as a Markdown list.

    Args:
        sources: what there is.
        id_: the invariant's id.
        statuses: what CrossHair found out about each contract, by its text.
    """
    told = {
        "contracts": _contracts([c for c in sources.contracts if c.invariant == id_], statuses),
        "constraints": code(KINDS["constraints"](sources, id_)),
        "exploration": code(KINDS["exploration"](sources, id_)),
        "any number": code(KINDS["any number"](sources, id_)),
        "scenarios": code(KINDS["scenarios"](sources, id_)),
        "tests": _tests(KINDS["tests"](sources, id_)),
        "mutants": code(KINDS["mutants"](sources, id_)),
    }
    excuses = sources.excuses.get(id_, {})
    return "\n".join(
        f"- {kind.capitalize()}: {text or 'none. ' + excuses.get(kind, '')}" for kind, text in told.items()
    )


def _contracts(conditions: Sequence[Condition], statuses: Mapping[str, str]) -> str:
    return "; ".join(
        f"`{each.function.rpartition('.')[2]}`: {each.text.partition(': ')[2]} ({statuses[each.text]})"
        for each in conditions
    )


def _tests(tests: Sequence[str]) -> str:
    return ", ".join(
        f"[{name.removeprefix('test_')}](../{path})"
        for path, _, name in (each.partition("::") for each in tests)
    )
