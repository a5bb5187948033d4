"""Each command of `payments-core` as a process, with what it has to do; and no setting is without effect."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, combinations
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import typer
from psycopg.conninfo import make_conninfo

from payments_core.entrypoints.cli import app
from payments_core.entrypoints.settings import Settings
from payments_verify.binding import Http
from payments_verify.surface.answers import TITLES
from payments_verify.systems.database import unmigrated_database
from payments_verify.systems.processes.asked import Asked, NotServedError, send, serving
from payments_verify.systems.processes.drained import wrong_ends
from payments_verify.systems.processes.due import HOLD, expired_together, insert_due
from payments_verify.systems.processes.forked import Forks, forks
from payments_verify.systems.processes.hurt_sweeps import (
    BATCH,
    OF_REQUESTS,
    shown,
    sweep,
    wrong_expiry,
    wrong_hurt_sweeps,
)
from payments_verify.systems.processes.own_data import wrong_own_data
from payments_verify.systems.processes.refused_starts import wrong_refusals
from payments_verify.systems.processes.settings_seen import Token, wrong_settings
from payments_verify.systems.processes.workers import outlives_its_parent

_SCOPES = ("read", "write", "metrics")
_MADE = re.compile(r"token  (pay_[A-Za-z0-9_-]{43})\nentry  (\S+)\n")
_DUE = 5
_HELD: Sequence[Sequence[int]] = ((0,), (2,), (0, 3), (0, 1, 2, 3))
"""Which of those that are due others hold meanwhile: a batch is whole, or has some, or none."""
_PREFIX = "PAYMENTS_"


async def wrong_commands(dsn: str) -> str | None:
    """What a command does otherwise than it says, or which setting does nothing, if there is one.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    try:
        return await _wrong(dsn)
    except NotServedError as error:
        return f"I9: {error}"


async def _wrong(dsn: str) -> str | None:
    with (
        tempfile.TemporaryDirectory() as name,
        _copies(dsn, 5) as (demo, other, *more),
        unmigrated_database(dsn) as empty,
    ):
        folder = Path(name)
        async with forks() as made:
            parent = await made.begin("serve", "--port", "0", "--workers", "2", DATABASE_URL=other)
            refused = await wrong_refusals(made, dsn, f"{name}/none", empty, demo)
            wrong = refused or await wrong_sweep(made, dsn) or await wrong_hurt_sweeps(made, dsn)
            wrong = (
                wrong or await _wrong_documents(made, dsn, folder / "pages") or await wrong_ends(made, dsn)
            )
            tokens = [await _token(made, each) for each in _sets()]
            wrong = wrong or next((each for each in tokens if isinstance(each, str)), None)
            given = [each for each in tokens if isinstance(each, Token)]
            if wrong is None:
                both = wrong_settings(made, more, folder, given), wrong_own_data(made, dsn)
                wrong = next(filter(None, await asyncio.gather(*both)), None)
            await parent.address()
            wrong = wrong or await outlives_its_parent(parent) or untried(made.given, made.options)
            return wrong or made.printed_secret([each.token for each in given])


def untried(settings: Collection[str], options: Collection[str]) -> str | None:
    """Which of these no process was given, if there are any: nobody has seen whether they do anything.

    Args:
        settings: the variables that some process was given.
        options: the options, each after its command.
    """
    fields = Settings.model_fields.items()
    variables = (str(field.validation_alias or _PREFIX + name.upper()) for name, field in fields)
    missing = [each for each in variables if each not in settings]
    missing += [each for each in _options() if each not in options]
    return f"I9: nothing tries the settings {', '.join(missing)}" if missing else None


def _options() -> Iterator[str]:
    """Each option of each command, after it."""
    commands: Any = typer.main.get_command(app)
    for name, command in commands.commands.items():
        yield from (f"{name} {each.opts[0]}" for each in command.load().params if each.opts[0][:2] == "--")


def _sets() -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(_SCOPES, count) for count in range(len(_SCOPES) + 1))


async def _token(made: Forks, scopes: tuple[str, ...]) -> Token | str:
    """A token for these scopes; what is wrong with what is printed, if it is none."""
    ended = await made.run("token", *(part for each in scopes for part in ("--scope", each)))
    found = _MADE.fullmatch(ended.output)
    return Token(scopes, *found.groups()) if found and ended.code == 0 else f"I2, I11: token prints {ended}"


async def wrong_sweep(made: Forks, dsn: str) -> str | None:
    """`sweep --batch 2`: all that is due expires, however long that takes, two at a time, and nothing else.

    Args:
        made: starts processes.
        dsn: a prepared database that nobody else uses.
    """
    due, later = insert_due(dsn, _DUE), insert_due(dsn, 1, "1 day")
    for wanted in (_DUE, 0):
        if (wrong := await _unlike(made, dsn, wanted)) is not None:
            return f"{wrong}, of {wanted} that are due"
    sizes = await expired_together(dsn, due, 0)
    if sizes != [2, 2, 1]:
        return f"I9: payments-core sweep --batch {BATCH}, and of {_DUE} expire {sizes} at a time"
    early = await expired_together(dsn, later, 0)
    if early:
        return f"I5: payments-core sweep, and {early} expire before their windows end"
    return await _wrong_beside_held(made, dsn)


async def _wrong_beside_held(made: Forks, dsn: str) -> str | None:
    """What is free expires, however much of its batch, or of those before, others hold; then the rest."""
    for places in _HELD:
        due = insert_due(dsn, _DUE)
        with psycopg.connect(dsn) as outside:
            outside.execute(HOLD, [[due[each] for each in places]])
            wrong = await _unlike(made, dsn, _DUE - len(places))
        wrong = wrong or await _unlike(made, dsn, len(places))
        if wrong is not None:
            return f"{wrong}, of {_DUE} that are due, where others held the ones at {places}"
    return None


async def _unlike(made: Forks, dsn: str, wanted: int) -> str | None:
    return wrong_expiry(await sweep(made, dsn, **OF_REQUESTS), wanted)


async def _wrong_documents(made: Forks, dsn: str, pages: Path) -> str | None:
    """What commands print is what is served."""
    migrated, openapi, problems = await asyncio.gather(
        made.run("migrate", DATABASE_URL=dsn), made.run("openapi"), made.run("problems", str(pages))
    )
    if (migrated.code, migrated.output) != (0, "nothing to apply\n"):
        return f"I9: payments-core migrate, of a database that is up to date: {shown(migrated)}"
    if openapi.code or problems.code:
        return f"I8: payments-core openapi, problems: {shown(openapi)}, {shown(problems)}"
    async with serving(made, dsn, "documents", "--port", "0") as served:
        if (await send(served, "GET", "/openapi.json")).text != openapi.output:
            return "I8: payments-core openapi prints another contract than is served"
        files = _texts(pages)
        for name, text in files.items():
            if name != "README" and (wrong := await _unlike_its_page(Asked(served), name, text)) is not None:
                return wrong
    missing = [name for name in files if f"({name}.md)" not in files["README"] and name != "README"]
    if missing:
        return f"I8: payments-core problems: its list lacks {', '.join(missing)}"
    others = sorted(TITLES.keys() ^ (files.keys() - {"README"}))
    return f"I8: payments-core problems, or the contract, has no {', '.join(others)}" if others else None


def _texts(folder: Path) -> Mapping[str, str]:
    return {each.stem: each.read_text() for each in folder.iterdir()}


async def _unlike_its_page(http: Http, name: str, text: str) -> str | None:
    answer = await http.request("GET", f"/problems/{name}", headers={}, json=None)
    served = msgspec.json.decode(answer.content)
    if answer.status_code == 200 and all(
        str(served[each]) in text for each in ("title", "status", "when", "remedy")
    ):
        return None
    return f"I8: payments-core problems writes a page of {name} that is not what is served: {answer.text}"


@contextmanager
def _copies(dsn: str, count: int) -> Iterator[list[str]]:
    """Copies of a database; they are dropped at the end."""
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
        original = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        names = [f"copy_{uuid4().hex}" for _ in range(count)]
        try:
            for each in names:
                connection.execute(f"CREATE DATABASE {each} TEMPLATE {original}".encode())
            yield [make_conninfo(dsn, dbname=each) for each in names]
        finally:
            for each in names:
                connection.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)".encode())
