"""Everything that is made: the blocks of pages by name, and whole files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.pages.blocks import code, fill, table
from lab.pages.code_map import code_map
from lab.pages.diagram import state_diagram
from lab.pages.precedence import precedence_table
from lab.pages.sources import SPECIFICATION, Sources
from lab.pages.traceability import evidence_of, matrix
from lab.pages.transitions import moves, transition_table
from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES, Conjunct, StepProperty
from payments_verify.binding import outcomes_by_name
from payments_verify.systems.problems import ProblemType
from payments_verify.systems.schema import Schema

PROOF = "specs/proof.md"
CODE_MAP = "specs/code-map.md"
DIAGRAM = "specs/figures/states.svg"
_CREATED = 201


@dataclass(frozen=True)
class Made:
    """What the pages should say.

    Attributes:
        blocks: the texts between the comments of specs/specification.md, by name.
        invariant: the invariant in words, for specs/proof.md.
        diagram: the picture of the states.
    """

    blocks: Mapping[str, str]
    invariant: str
    diagram: str

    def files(self, root: Path) -> Mapping[Path, str]:
        """What each file of a checkout should hold.

        Raises:
            PageError: the page's blocks cannot be told apart, or name nothing that is made.
        """
        page, proof, packages = root / SPECIFICATION, root / PROOF, root / CODE_MAP
        return {
            page: fill(page.read_text(encoding="utf-8"), self.blocks),
            proof: fill(proof.read_text(encoding="utf-8"), {"invariant": self.invariant}),
            packages: fill(packages.read_text(encoding="utf-8"), {"packages": code_map(root)}),
            root / DIAGRAM: self.diagram + "\n",
        }


def make(sources: Sources, statuses: Mapping[str, str]) -> Made:
    """Make everything.

    Args:
        sources: what it is made from.
        statuses: what CrossHair found out about each contract, by its text.
    """
    names = {outcome: name for name, outcome in outcomes_by_name().items()}
    statuses_of_problems = {problem.name: problem.status for problem in sources.problems}
    blocks = {
        "transitions": transition_table(names),
        "precedence": precedence_table(names, statuses_of_problems | {"captured": _CREATED}),
        "data-model": data_model(sources.schema),
        "problem-types": _problems(sources.problems),
        "traceability": matrix(sources),
    }
    blocks |= {f"evidence-{id_}": evidence_of(sources, id_, statuses) for id_ in sources.invariants}
    return Made(blocks, invariant_in_words(), state_diagram(moves()))


def invariant_in_words() -> str:
    """The conjuncts and the properties of every step, as a Markdown table."""
    parts: Sequence[tuple[str, Sequence[Conjunct | StepProperty]]] = (
        ("always", CONJUNCTS),
        ("at each step", STEP_PROPERTIES),
    )
    rows = [
        (
            f"`{each.name}`",
            each.words + ("; while the clock goes forward" if each.needs_order else ""),
            when,
            " ".join(each.invariants),
        )
        for when, part in parts
        for each in part
    ]
    return table(("name", "says", "holds", "of"), rows)


def data_model(schema: Schema) -> str:
    """The tables with their columns, and what the database itself refuses."""
    parts = []
    for each in schema.tables:
        rows = [
            (
                f"`{c.name}`",
                f"`{c.type}`",
                "" if c.required else "may be null",
                code([c.default]) if c.default else "",
            )
            for c in each.columns
        ]
        guards = [
            (f"`{guard.name}`", guard.comment)
            for guard in schema.guards
            if guard.table == each.name and guard.comment
        ]
        parts += [
            f"**`{each.name}`**. {each.comment}",
            table(("column", "type", "", "default"), rows),
            table((f"guard of `{each.name}`", "what it holds"), guards),
        ]
    return "\n\n".join(parts)


def _problems(problems: Sequence[ProblemType]) -> str:
    return table(
        ("problem type", "status", "when"),
        [(f"[`{each.name}`](problems/{each.name}.md)", str(each.status), each.when) for each in problems],
    )
