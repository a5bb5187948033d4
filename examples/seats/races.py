"""What races for a seat, and what is right. Time passes when a client says so."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psycopg

from pgweave import Command, Operation, Spec, clock

http = httpx.Client(timeout=60, trust_env=False, headers={"connection": "close"})
NOON_US = 1_800_000_000_000_000
SERVICE = f"exec node {Path(__file__).with_name('app.js')}"


class Seat(NamedTuple):
    """One seat, and how many seconds have passed."""

    now: int = 0
    holder: str | None = None
    until: int = 0
    booked_by: str | None = None

    @property
    def owner(self) -> str | None:
        """Who has it: a hold that ended is nobody's."""
        return self.booked_by or (self.holder if self.until > self.now else None)


class Seats(Spec[Seat]):
    """A seat is had by one at a time."""

    def __init__(self, first: Seat) -> None:
        self.first = first

    def initial(self):
        return self.first

    def step(self, state, operation: Operation):
        match operation.f, operation.value or {}:
            case "wait", {"seconds": seconds}:
                return (state._replace(now=state.now + seconds),)
            case "hold", {"who": who, "seconds": seconds}:
                may, after = state.owner in (None, who), state._replace(holder=who, until=state.now + seconds)
            case "book", {"who": who}:
                may, after = state.owner == who, state._replace(booked_by=who)
            case "look", _:
                return (state,) if operation.response == state.owner else ()
        if operation.response:
            return (after,) if may else ()
        return () if may else (state,)


def seat(first: Seat, dsn):
    clock.install(dsn, "seats_now")
    with psycopg.connect(dsn) as db:
        db.execute("SELECT test_clock.set_us(%s)", [NOON_US])
        db.execute(
            "CREATE TABLE IF NOT EXISTS seats"
            " (seat text PRIMARY KEY, holder text, held_until timestamptz, booked_by text)"
        )
        db.execute("DELETE FROM seats")
        db.execute(
            "INSERT INTO seats VALUES ('1', %s, to_timestamp(%s), %s)",
            [first.holder, NOON_US // 1_000_000 + first.until, first.booked_by],
        )


def wait(seconds, _url, _world, dsn):
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("SELECT test_clock.advance_us(%s)", [seconds * 1_000_000])


def hold(who, seconds, url):
    return asked(http.post(f"{url}/1/hold", json={"who": who, "seconds": seconds}))


def book(who, url):
    return asked(http.post(f"{url}/1/book", json={"who": who}))


def look(url):
    return http.get(f"{url}/1").raise_for_status().json()["owner"]


def asked(answer: httpx.Response) -> bool:
    """Whether it was done; refused if not."""
    return answer.status_code != 409 and answer.raise_for_status().status_code == 201


def race(first: Seat, *clients) -> dict[str, Any]:
    """The arguments of `pgweave.explore`."""
    return {
        "service": Command(SERVICE),
        "setup": partial(seat, first),
        "clients": clients,
        "spec": Seats(first),
    }


FREE, HELD = Seat(), Seat(holder="anna", until=60)
two_want_it = race(FREE, partial(hold, "anna", 60), partial(hold, "ben", 60))
hold_ends = race(HELD, partial(book, "anna"), [partial(wait, 60), look])
it_is_taken_over = race(HELD, partial(book, "anna"), partial(hold, "ben", 60), partial(wait, 60))
