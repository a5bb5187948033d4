"""specs/specification.md names exactly what there is: contracts, constraints, problem types, routes."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.routing import Route

import payments_core.infrastructure.postgres.migrate
from payments_client import replies
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.contract.descriptions import DESCRIPTIONS
from payments_core.entrypoints.http.problems import ProblemType
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.wiring import exposition
from payments_model import LEGAL_MOVES
from payments_verify.binding import outcomes_by_name
from payments_verify.model_checks.contracts import discover
from payments_verify.payments.specification.invariants import INVARIANTS
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.docs.pages import HISTORIES, SPECIFICATION, names, rows, section

MIGRATIONS = Path(payments_core.infrastructure.postgres.migrate.__file__).parent / "migrations"


def test_every_other_contract_is_named() -> None:
    headings = re.findall(r"^### (I\d+)\. (.*)$", SPECIFICATION, re.MULTILINE)
    assert headings == list(INVARIANTS.items())
    known = list(INVARIANTS)
    assert known == [f"I{number}" for number in range(1, 13)]
    others = {c.invariant for c in discover("payments_model")} - {*known}
    assert others == {"Precedence"}
    assert "**Precedence**" in SPECIFICATION


def test_the_problem_types() -> None:
    shown = {
        (names(row[0])[0], int(row[1])) for row in rows(section(SPECIFICATION, "## HTTP")) if row[1].isdigit()
    }
    defined = {(each.name, each.status) for each in vars(problems).values() if isinstance(each, ProblemType)}
    assert shown == defined


def test_the_specification_has_one_name_for_an_outcome_and_histories_say_which_differ() -> None:
    shorter = {
        name: each.name.lower() for name, each in outcomes_by_name().items() if name != each.name.lower()
    }
    shown = {names(row[0])[0]: names(row[1])[0] for row in rows(HISTORIES) if row[0].strip("`") in shorter}
    assert shown == shorter
    used = {
        *names(section(SPECIFICATION, "## Commands")),
        *names(section(SPECIFICATION, "## Outcomes of a capture")),
    }
    assert not used & {*shorter.values()}
    assert used > {"payment_id_conflict", "capture_window_expired", "payment_not_found"}


def test_the_answers_after_which_nothing_was_done_are_those_that_the_client_takes_so() -> None:
    (said,) = re.findall(r"^- After (503 .*), that request did nothing", SPECIFICATION, re.MULTILINE)
    shown = {name: int(status) for status, name in re.findall(r"(\d+) `(\w+)`", said)}
    assert shown == dict(replies.NOTHING_DONE)


def test_each_5xx_says_whether_anything_was_done_and_the_client_takes_it_so() -> None:
    faults = {each.name: text.when for each, text in DESCRIPTIONS.items() if each.status >= 500}
    nothing_done = {name for name, when in faults.items() if "Nothing was done." in when}
    assert {name for name, when in faults.items() if "is not known." in when} == faults.keys() - nothing_done
    said_by_the_client = {name for name, status in replies.NOTHING_DONE.items() if status >= 500}
    assert said_by_the_client == nothing_done - {"unsupported_transfer_coding"}  # no client of ours sends one


def test_the_moves() -> None:
    table = rows(section(SPECIFICATION, "## Commands").partition("<!--")[0])
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
