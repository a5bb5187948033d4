"""Two transfers in opposite directions, plainly on psycopg: what both tools explore."""

from __future__ import annotations

import psycopg

OPENED = {"anna": 10, "ben": 10}


def setup(dsn: str) -> None:
    """Two accounts, as they were opened."""
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS accounts (name text PRIMARY KEY, cents int NOT NULL)")
        db.execute("TRUNCATE accounts")
        db.cursor().executemany("INSERT INTO accounts VALUES (%s, %s)", list(OPENED.items()))


def transfer(source: str, target: str, cents: int, lock: str, dsn: str) -> None:
    """Read both accounts, and write both; in the order of their names, so that nobody waits in a circle."""
    with psycopg.connect(dsn) as db:
        found = {}
        for name in sorted((source, target)):
            row = db.execute(f"SELECT cents FROM accounts WHERE name = %s{lock}", [name]).fetchone()
            assert row is not None
            found[name] = row[0]
        found[source] -= cents
        found[target] += cents
        for name, new in found.items():
            db.execute("UPDATE accounts SET cents = %s WHERE name = %s", [new, name])


def both_are_booked(dsn: str) -> bool:
    """Whether neither transfer is lost."""
    with psycopg.connect(dsn) as db:
        return dict(db.execute("SELECT name, cents FROM accounts").fetchall()) == {"anna": 11, "ben": 9}
