"""What races, and what is right."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import psycopg

from examples.transfers.service import TABLES, application
from pgweave import Operation, Spec

http = httpx.Client(timeout=60, trust_env=False, headers={"connection": "close"})
OPENED = {"anna": 10, "ben": 10, "cleo": 10}


class Bank(Spec[tuple[tuple[str, int], ...]]):
    """A transfer takes place at one instant, or is refused because there is not enough."""

    def initial(self):
        return tuple(OPENED.items())

    def step(self, state, operation: Operation):
        accounts = dict(state)
        if operation.f == "total":
            return (state,) if operation.response == sum(accounts.values()) else ()
        source, target, cents = operation.value.values()
        if accounts[source] < cents:
            return (state,) if operation.response == "refused" else ()
        accounts[source] -= cents
        accounts[target] += cents
        return (tuple(accounts.items()),) if operation.response == accounts[source] else ()


def setup(dsn):
    with psycopg.connect(dsn) as db:
        db.execute(TABLES)
        db.execute("TRUNCATE entries, accounts RESTART IDENTITY")
        db.cursor().executemany("INSERT INTO accounts VALUES (%s, %s)", list(OPENED.items()))


def transfer(source, target, cents, url):
    asked = {"source": source, "target": target, "cents": cents}
    answer = http.post(f"{url}/transfers", json=asked)
    if answer.status_code == 409:
        return "refused"
    return answer.raise_for_status().json()["left"]


def total(url):
    return http.get(f"{url}/total").raise_for_status().json()["cents"]


def books_agree(dsn):
    """Each account has what its entries say, none is overdrawn, and the entries add up to nothing."""
    with psycopg.connect(dsn) as db:
        accounts = dict(db.execute("SELECT name, cents FROM accounts").fetchall())
        entries = db.execute("SELECT account, sum(cents)::int FROM entries GROUP BY account").fetchall()
    booked = OPENED | {name: OPENED[name] + cents for name, cents in entries}
    assert accounts == booked, f"the accounts are {accounts}, and the entries say {booked}"
    assert min(accounts.values()) >= 0, f"an account is overdrawn: {accounts}"
    assert sum(accounts.values()) == sum(OPENED.values()), f"money is lost or made: {accounts}"


def race(*clients, bug=None) -> dict[str, Any]:
    """The arguments of `pgweave.explore`."""
    return {
        "service": partial(application, bug=bug),
        "setup": setup,
        "clients": clients,
        "spec": Bank(),
        "check": books_agree,
    }


opposite = race(partial(transfer, "anna", "ben", 3), partial(transfer, "ben", "anna", 4))
too_much = race(partial(transfer, "anna", "ben", 6), partial(transfer, "anna", "ben", 6))
in_a_ring = race(
    partial(transfer, "anna", "ben", 3),
    partial(transfer, "ben", "cleo", 4),
    partial(transfer, "cleo", "anna", 5),
)
seen = race(partial(transfer, "anna", "ben", 3), total)
