"""Starts that have to be refused: with exit code 2, and a line that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import make_conninfo

from payments_verify.systems.processes.forked import Ended, Forks
from payments_verify.systems.processes.forking import FILES
from payments_verify.systems.processes.printed import secret

_NOBODY_S = "postgresql://nobody@127.0.0.1:1/none"
_SERVE = ("serve", "--port", "0")
_REFUSED = 2
_DATABASE = "DATABASE_URL"
"""What has a password."""
_HASH = "0" * 64
FEWEST_CONNECTIONS = 16
"""A process that has no room for so many does not start."""
_MOVABLE = "COMMENT ON FUNCTION payment_clock() IS 'movable'"


@dataclass(frozen=True)
class Start:
    """A command that is not carried out.

    Attributes:
        breaks: the invariants that are at stake where it is.
        says: parts of what it says: what is wrong, and what to do.
        arguments: the command.
        variables: its settings.
    """

    breaks: str
    says: tuple[str, ...]
    arguments: tuple[str, ...] = _SERVE
    variables: Mapping[str, str] = field(default_factory=dict)


async def wrong_refusals(forks: Forks, dsn: str, folder: str, empty: str, demo: str) -> str | None:
    """The first start that is not refused as it has to be, if one is not.

    Args:
        forks: starts processes.
        dsn: a database that can be used.
        folder: one that is empty.
        empty: a database without a schema.
        demo: one that could be used, and is made one of a demonstration.
    """
    with psycopg.connect(demo, autocommit=True) as connection:
        connection.execute(_MOVABLE)
    starts = [*_of_settings(dsn, folder), *_of_databases(dsn, empty, demo)]
    ended = await asyncio.gather(*(_ended(forks, each) for each in starts))
    wrong = (wrong_start(*each) for each in zip(starts, ended, strict=True))
    return next(filter(None, wrong), None)


def files_for(connections: int, *, pool: int) -> int:
    """How many files a process needs for so many clients, where its pool has at most so many connections."""
    return 48 + 2 * pool + connections


async def _ended(forks: Forks, start: Start) -> Ended:
    """How a process ends; one that serves is told to."""
    process = await forks.begin(*start.arguments, **start.variables)
    if await process.address() is not None:
        process.terminate()
    return await process.ended()


def _of_settings(dsn: str, folder: str) -> Iterator[Start]:
    yield Start("I8, I9", ("set DATABASE_URL",), ("migrate",))
    yield Start("I8, I9", ("set DATABASE_URL",), ("sweep",))
    on = {"DATABASE_URL": dsn}
    yield Start("I9", ("PAYMENTS_POOL_MAX", "greater than"), variables={**on, "PAYMENTS_POOL_MAX": "0"})
    yield Start(
        "I9", ("PAYMENTS_LOCK_TIMEOUT_MS", "less than"), variables={**on, "PAYMENTS_LOCK_TIMEOUT_MS": "10000"}
    )
    yield Start("I7, I8", ("DATABASE_URL",), variables={"DATABASE_URL": " "})
    for nonsense in _no_connection_strings(secret("password")):
        yield Start("I9", ("DATABASE_URL", "percent"), variables={"DATABASE_URL": nonsense})
    for tokens in (f"pay_{secret('token')}", f"all:{_HASH}"):
        yield Start(
            "I2, I11", ("PAYMENTS_TOKENS", "payments-core token"), variables={**on, "PAYMENTS_TOKENS": tokens}
        )
    yield Start(
        "I2, I11",
        ("PAYMENTS_TOKENS_FILE", "cannot be read"),
        variables={**on, "PAYMENTS_TOKENS_FILE": f"{folder}/none"},
    )
    yield Start(
        "I2, I11",
        ("PAYMENTS_TOKENS_FILE", "payments-core token"),
        variables={**on, "PAYMENTS_TOKENS_FILE": "/dev/null"},
    )
    yield Start(
        "I2, I11", ("PAYMENTS_TOKENS", "scopes"), variables={**on, "PAYMENTS_TOKENS": f"{_HASH},read:{_HASH}"}
    )
    anywhere = {**on, "PAYMENTS_HOST": "0.0.0.0"}  # noqa: S104 - that it is refused
    yield Start("I2, I11", ("loopback", "PAYMENTS_TOKENS"), variables=anywhere)
    yield Start("I9", ("--host",), (*_SERVE, "--host", "192.0.2.1"), on)
    needed = files_for(FEWEST_CONNECTIONS, pool=1)
    few = {**on, "PAYMENTS_POOL_MIN": "1", "PAYMENTS_POOL_MAX": "1", FILES: str(needed - 1)}
    yield Start("I9", (f"ulimit -n {needed}\n",), variables=few)
    yield Start("I5", ("unset DATABASE_URL",), variables={**on, "PAYMENTS_DEMO": "yes"})
    yield Start("I5", ("leave --data out",), (*_SERVE, "--demo", "--data", folder))
    anybody = ("--demo", "--host", "0.0.0.0")  # noqa: S104 - that it is refused
    yield Start("I2, I5", ("loopback",), (*_SERVE, *anybody), {"PAYMENTS_TOKENS": _HASH})
    yield Start("I9", ("cannot write to",), ("problems", "/dev/null/pages"))


def _no_connection_strings(password: str) -> Iterator[str]:
    """A password that is not written as it has to be, or whose name is not, and another kind of database."""
    yield f"postgresql://user:{password}/x@127.0.0.1:1/none"
    yield f"postgresql://user:{password}@{password}@127.0.0.1:1/none"
    yield f"postgresql://127.0.0.1:1/none?pasword={password}"
    yield f"host=127.0.0.1 port=1 pasword={password}"
    yield f"mysql://user:{password}@127.0.0.1:1/none"


def _of_databases(dsn: str, empty: str, demo: str) -> Iterator[Start]:
    """What is wrong with a database keeps whoever would decide in it from doing so."""
    role = {"DATABASE_URL": dsn, "PAYMENTS_DATABASE_ROLE": "no_such_role"}
    databases = (
        ("I9", ("DATABASE_URL", "refused"), {"DATABASE_URL": _NOBODY_S}),
        ("I9", ("lacks 0001-payments", "payments-core migrate"), {"DATABASE_URL": empty}),
        ("I5", ("clock", "demonstration"), {"DATABASE_URL": demo}),
        ("I9", ("no_such_role", "GRANT"), role),
    )
    for breaks, says, variables in databases:
        for command in (_SERVE, ("sweep",)):
            yield Start(breaks, says, command, variables)
    yield Start("I9", ("citus",), ("migrate", "--distribute", "citus"), {"DATABASE_URL": demo})
    for breaks, setting in (
        ("I9", "default_transaction_read_only=on"),
        ("I2, I6", "session_replication_role=replica"),
    ):
        options = f"-c {setting}"
        yield Start(breaks, ("RESET",), _SERVE, {"DATABASE_URL": make_conninfo(dsn, options=options)})
        yield Start(breaks, ("RESET",), ("sweep",), {"DATABASE_URL": dsn, "PGOPTIONS": options})
    yield Start("I9", ("refused",), ("migrate",), {"DATABASE_URL": _NOBODY_S})


def wrong_start(start: Start, ended: Ended) -> str | None:
    """How a process has not refused to start, if it has not."""
    given = [name if name == _DATABASE else f"{name}={value}" for name, value in start.variables.items()]
    command = " ".join([*given, "payments-core", *start.arguments])
    shown = f"{start.breaks}: {command}, in a folder whose files set all else, to say {start.says}"
    if ended.code != _REFUSED:
        return f"{shown}: expected exit code {_REFUSED}, got {ended.code}: {ended.errors[-300:]}"
    missing = [each for each in start.says if each not in ended.errors]
    if missing or not ended.errors.startswith("payments-core: ") or "Traceback" in ended.errors:
        return f"{shown}: it says {ended.errors!r}, and not a line with {', '.join(start.says)}"
    if FILES not in start.variables:  # where they are too few, it has told its database before
        return f"{shown}: it says on standard output {ended.output!r}" if ended.output else None
    return f"{shown}: it serves" if "serving" in ended.output else None
