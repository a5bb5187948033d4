"""specs/specification.md names exactly what there is: contracts, constraints, problem types, routes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
from starlette.routing import Route

import payments_core.infrastructure.postgres.migrate
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.problems import ProblemType
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.wiring import exposition
from payments_core.infrastructure.in_memory import InMemoryPaymentStore
from payments_model import LEGAL_MOVES, RECORDED, Outcome
from payments_verify.model_checks.contracts import discover
from payments_verify.payments.http_binding import _PROBLEMS
from tests.docs.pages import SPECIFICATION, names, rows, section

MIGRATIONS = Path(payments_core.infrastructure.postgres.migrate.__file__).parent / "migrations"
INVARIANTS = {
    number: re.findall(rf"^### I{number}\. .*$", SPECIFICATION, re.MULTILINE) for number in range(1, 13)
}
COMMENT = re.compile(
    r"COMMENT ON (?:CONSTRAINT|TRIGGER|INDEX|FUNCTION) (\w+).*?\bIS\s+'((?:I\d+(?:, )?)+):", re.DOTALL
)


def held_by(page: str, number: int, what: str) -> set[str]:
    """The names in an invariant's list of contracts or constraints."""
    (heading,) = INVARIANTS[number]
    items = section(page, heading).split("\n- ")
    (item,) = [each.removeprefix("- ") for each in items if each.removeprefix("- ").startswith(f"{what}: ")]
    return set(names(item)) - {"COMMIT"}


def commented() -> Mapping[int, set[str]]:
    """What each invariant is held by in the schema, as the comments there say."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in MIGRATIONS.glob("*.sql"):
        for statement in path.read_text().split(";\n"):
            for name, invariants in COMMENT.findall(statement):
                for invariant in invariants.split(", "):
                    found[int(invariant[1:])].add(name)
    return found


@pytest.mark.parametrize("number", INVARIANTS)
def test_the_contracts_of_an_invariant(number: int) -> None:
    stated = {
        c.function.rpartition(".")[2] for c in discover("payments_model") if c.invariant == f"I{number}"
    }
    assert held_by(SPECIFICATION, number, "Contracts") == stated


@pytest.mark.parametrize("number", INVARIANTS)
def test_the_constraints_of_an_invariant(number: int) -> None:
    assert held_by(SPECIFICATION, number, "Constraints") == commented()[number]


def test_the_comments_are_found() -> None:
    assert sum(map(len, commented().values())) > 25


def test_a_constraint_that_is_left_out_or_made_up_is_missed() -> None:
    assert "`captured_in_full`, " in SPECIFICATION
    for instead in ("", "`captured_in_fact`, "):
        page = SPECIFICATION.replace("`captured_in_full`, ", instead)
        assert held_by(page, 1, "Constraints") != commented()[1]


def test_every_other_contract_is_named() -> None:
    others = {c.invariant for c in discover("payments_model")} - {f"I{number}" for number in INVARIANTS}
    assert others == {"Precedence"}
    assert "**Precedence**" in SPECIFICATION


def test_the_problem_types() -> None:
    shown = {
        (names(row[0])[0], int(row[1])) for row in rows(section(SPECIFICATION, "## HTTP")) if row[1].isdigit()
    }
    defined = {(each.name, each.status) for each in vars(problems).values() if isinstance(each, ProblemType)}
    assert shown == defined


def test_the_outcomes_and_which_are_stored() -> None:
    by_name = _PROBLEMS | {"captured": Outcome.CAPTURED}
    table = rows(section(SPECIFICATION, "## Outcomes of a capture"))
    assert [int(row[0]) for row in table] == list(range(1, 9))
    stored = {by_name[name] for row in table if row[3] == "yes" for name in names(row[2])}
    assert stored == set(RECORDED)


def test_the_moves() -> None:
    table = rows(section(SPECIFICATION, "## Commands"))
    states = [(names(row[1]), names(row[2])) for row in table]
    moves = {(before[0].upper(), after[0].upper()) for before, after in states if before and after}
    assert moves == {(before.name, after.name) for before, after in LEGAL_MOVES}


def test_the_routes() -> None:
    cells = [row[0] for row in rows(section(SPECIFICATION, "## HTTP"))]
    requests = [name.partition("?")[0].split(" ") for cell in cells for name in names(cell) if "/" in name]
    served = {
        (method, route.path.replace("{payment_id}", "{id}"))
        for route in create_app(InMemoryPaymentStore(lambda: 0), routes=[exposition(Metrics())]).routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path in requests} == served
