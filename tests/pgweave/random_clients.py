"""Clients that are drawn, and everything that can come of two of them at once."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import psycopg
from psycopg.sql import Literal

from pgweave.drive.exploration import Effort, explore_race
from pgweave.interleavings.strategy import Strategy
from pgweave.race import race_of
from pgweave.scenario import Scenario
from tests.pgweave.sql.scenes import ACCOUNTS
from tests.pgweave.sql.test_soundness import Call

_ONCE_EACH = Effort(rerun_every=0, minimizing_runs=0, limit_s=60.0)
_SCHEMA = f"""
{ACCOUNTS.schema}
CREATE FUNCTION has_room(owner_id bigint) RETURNS boolean LANGUAGE sql
    AS 'SELECT n < 6 FROM owner WHERE id = owner_id';
CREATE FUNCTION bump(owner_id bigint) RETURNS bigint LANGUAGE sql
    AS 'UPDATE owner SET n = n + 1 WHERE id = owner_id RETURNING n';
CREATE VIEW full_owner AS SELECT id, n FROM owner WHERE n > 0;
"""
_MERGED = """
    MERGE INTO owner USING (VALUES ($1::bigint)) AS wanted (id) ON owner.id = wanted.id
    WHEN MATCHED THEN UPDATE SET n = n + 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (wanted.id)
"""
_PASSED_ON = """
    WITH changed AS (
        UPDATE item SET n = item.n + 1 FROM owner WHERE item.id = $1 AND owner.id = item.owner_id
        RETURNING owner.id
    )
    UPDATE owner SET n = owner.n + 1 FROM changed WHERE owner.id = changed.id
"""
_STATEMENTS: Sequence[tuple[str, str]] = [
    *ACCOUNTS.statements,
    ("SELECT 1", ""),
    ("SELECT version() IS NOT NULL", ""),
    ("SELECT set_config('lock_timeout', '0', true)", ""),
    ("SELECT has_room($1)", "id"),
    ("SELECT bump($1)", "id"),
    ("SELECT * FROM full_owner WHERE id = $1", "id"),
    ("SELECT sum(n) FROM owner", ""),
    ("SELECT count(*) FROM item", ""),
    ("SELECT id FROM owner ORDER BY n, id LIMIT 1 FOR UPDATE SKIP LOCKED", ""),
    ("SELECT id FROM owner WHERE id = $1 FOR UPDATE NOWAIT", "id"),
    ("UPDATE owner SET n = n + 1 WHERE id = $1 AND (SELECT sum(n) FROM owner) > 3", "id"),
    ("UPDATE owner SET n = most.n + 1 FROM (SELECT max(n) AS n FROM item) AS most WHERE id = $1", "id"),
    ("UPDATE owner SET n = n + 1 WHERE id IN (SELECT owner_id FROM item WHERE tag = $1)", "tag"),
    (
        "INSERT INTO item SELECT $1, id, 'x', n FROM owner WHERE NOT EXISTS (SELECT FROM item WHERE id = $2)",
        "id id",
    ),
    ("DELETE FROM item USING owner WHERE item.owner_id = owner.id AND owner.email = $1", "email"),
    (_MERGED, "id"),
    (_PASSED_ON, "id"),
]
_LEVELS = ["READ COMMITTED"] * 4 + ["REPEATABLE READ", "SERIALIZABLE"]

Outcome: TypeAlias = tuple[Any, ...]
"""What each client heard, and the rows in the end."""
Connection: TypeAlias = "psycopg.Connection[Any]"


@dataclass(frozen=True)
class Program:
    """What a client does.

    Attributes:
        way: how its statements go out, one of `_WAYS`.
        calls: the statements.
        level: the isolation level, where it is one transaction.
        told: how the database is told the level.
        end: how that ends.
    """

    way: str
    calls: tuple[Call, ...]
    level: str
    told: str
    end: str

    def __str__(self) -> str:
        calls = "; ".join(f"{' '.join(each.sql.split())} {list(each.values)}" for each in self.calls)
        return f"{self.way}, {self.level} by {self.told}, {self.end}: {calls}"


@dataclass
class Outcomes:
    """What came of two programs.

    Attributes:
        seen: all of it.
        schedules: in how many schedules.
        unclear: why there may be more; empty if everything was run.
    """

    seen: set[Outcome] = field(default_factory=set)
    schedules: int = 0
    unclear: tuple[str, ...] = ()


def draw(rng: random.Random) -> Program:
    """Draw a program."""
    way = rng.choice(["alone", "block", "block", "pipeline", "pipelined block", "one text", "repeated"])
    calls = [_call(rng) for _ in range(rng.randint(1, 2 if "block" in way else 3))]
    return Program(
        way=way,
        calls=tuple(calls[:1] * 4 if way == "repeated" else calls),
        level=rng.choice(_LEVELS),
        told=rng.choice(["BEGIN", "SET", "set_config", "options"]),
        end=rng.choice(["COMMIT"] * 4 + ["ROLLBACK"]),
    )


def make_tables(dsn: str) -> None:
    """Make what the statements are about."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(_SCHEMA.encode())


async def outcomes(dsn: str, programs: Sequence[Program], make_strategy: Callable[[], Strategy]) -> Outcomes:
    """Everything that comes of programs in the schedules that a strategy calls for."""
    found = Outcomes()

    def look(dsn: str, _made: object, answers: Sequence[object]) -> None:
        with psycopg.connect(dsn, autocommit=True) as db:
            rows = db.execute(ACCOUNTS.state.encode()).fetchall()
        found.seen.add((tuple(answers), tuple(sorted(map(repr, rows)))))

    clients = [partial(_run, each) for each in programs]
    scenario = Scenario(_reset, clients, look, None, None)
    async with race_of(scenario, dsn) as race:
        explored = await explore_race(race, make_strategy, effort=_ONCE_EACH)
    assert explored.violation is None, explored.violation
    found.schedules, found.unclear = explored.report.schedules, explored.unclear
    return found


def _call(rng: random.Random) -> Call:
    sql, names = rng.choice(_STATEMENTS)
    return Call(sql, tuple(rng.choice(ACCOUNTS.values[name]) for name in names.split()))


def _reset(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(ACCOUNTS.reset.encode())


def _run(program: Program, dsn: str) -> tuple[object, ...]:
    heard: list[object] = []
    # psycopg's own block would roll back in a pipeline that has failed, and fail itself.
    with closing(psycopg.connect(dsn, autocommit=True, options=_options(program))) as db:
        try:
            _WAYS[program.way](db, program, heard)
        except psycopg.Error as error:
            heard.append(error.sqlstate)
    return tuple(heard)


def _options(program: Program) -> str:
    if "block" not in program.way or program.told != "options":
        return ""
    level = program.level.lower().replace(" ", "\\ ")
    return f"-c default_transaction_isolation={level}"


def _asked(db: Connection, call: Call) -> psycopg.Cursor[Any]:
    sql, values = call.for_psycopg
    return db.execute(sql, values)


def _heard(cursor: psycopg.Cursor[Any]) -> object:
    return tuple(sorted(map(repr, cursor.fetchall()))) if cursor.description else cursor.rowcount


def _alone(db: Connection, program: Program, heard: list[object]) -> None:
    for each in program.calls:
        try:
            heard.append(_heard(_asked(db, each)))
        except psycopg.Error as error:
            heard.append(error.sqlstate)


def _one_text(db: Connection, program: Program, heard: list[object]) -> None:
    db.execute("; ".join(map(_text, program.calls)).encode())
    heard.append("done")


def _text(call: Call) -> str:
    text = call.sql
    for number, value in reversed(list(enumerate(call.values, 1))):
        text = text.replace(f"${number}", Literal(value).as_string(None))
    return text


def _pipeline(db: Connection, program: Program, heard: list[object]) -> None:
    with db.pipeline():
        cursors = [_asked(db, each) for each in program.calls]
    heard += map(_heard, cursors)


def _block(db: Connection, program: Program, heard: list[object]) -> None:
    db.execute(_begin(db, program))
    heard += (_heard(_asked(db, each)) for each in program.calls)
    heard.append(db.execute(program.end.encode()).statusmessage)


def _pipelined_block(db: Connection, program: Program, heard: list[object]) -> None:
    begin = _begin(db, program)
    with db.pipeline():
        db.execute(begin)
        cursors = [_asked(db, each) for each in program.calls]
        db.execute(program.end.encode())
    heard += map(_heard, cursors)


def _begin(db: Connection, program: Program) -> bytes:
    """Tell the level, if that is done before; the statement that begins."""
    if program.told == "SET":
        db.execute(f"SET default_transaction_isolation = '{program.level.lower()}'".encode())
    elif program.told == "set_config":
        asked = "SELECT set_config('default_transaction_isolation', %s, false)"
        db.execute(asked, [program.level.lower()])
    return f"BEGIN ISOLATION LEVEL {program.level}".encode() if program.told == "BEGIN" else b"BEGIN"


_WAYS: Mapping[str, Callable[[Connection, Program, list[object]], None]] = {
    "alone": _alone,
    "repeated": _alone,
    "one text": _one_text,
    "pipeline": _pipeline,
    "block": _block,
    "pipelined block": _pipelined_block,
}
