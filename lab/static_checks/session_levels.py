"""Whether a session of the service has what the page says, wherever something else is set."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from unittest.mock import patch

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from lab.static_checks.findings import Findings
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool

PAGE = Path(__file__).parents[2] / "specs" / "operations.md"
_SECTION = re.compile(r"^### What a session is$(.*?)^`migrate` has", re.MULTILINE | re.DOTALL)
_OVERRIDDEN, _FIXED = "can override:", "nothing overrides:"
_NAMED = re.compile(r"`([a-z_]+)`")
_TYPES = """
    SELECT name, vartype, enumvals FROM pg_settings WHERE name = ANY(%s) AND context IN ('user', 'superuser')
"""
_VALUES = """
    SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name
    WHERE current_setting(name, true) IS NOT NULL
"""
_OTHERS = """
    SELECT name, current_setting(name) FROM pg_settings
    WHERE strpos(name, %(name)s) > 0 AND name <> %(name)s AND context IN ('user', 'superuser')
"""
_WRITTEN: Sequence[Callable[[str, str], str]] = (
    lambda name, value: f"-c {name}={value}",
    lambda name, value: f"-c{name}={value}",
    lambda name, value: f"--{name}={value}",
    lambda name, value: f"--{name.replace('_', '-')}={value}",
    lambda name, value: f"-c {name.upper()}={value}",
)
"""The ways to make a setting in the options of a connection."""
_NAME, _OTHER_NAME = "application_name", "till"
_ROLE, _OTHER_ROLE = "role", "pg_monitor"
_TIME = "4321ms"
_TEXTS = {"search_path": "elsewhere", "client_encoding": "LATIN1"}
_BREAKS = {
    **dict.fromkeys(("client_min_messages", "synchronous_commit"), "I7"),
    **dict.fromkeys(("standard_conforming_strings", "client_encoding"), "I3"),
    "search_path": "I8",
    _ROLE: "I2",
}
"""The invariant that a setting is for; I9 for the others."""
_OF_OPTIONS = {"synchronous_commit": ("off", "local")}
"""What the page says of a connection that names a setting: the value that it asks for, and what it gets."""
_TELLING = "exit_on_error"
"""Whose value tells whether a server has read its settings: nothing else makes it another."""
_RELOAD_LIMIT_S, _BEAT_S = 20.0, 0.005


@dataclass(frozen=True)
class Named:
    """The settings that the page names.

    Attributes:
        overridden: those that the options of a connection override.
        fixed: those that nothing does.
    """

    overridden: Sequence[str]
    fixed: Sequence[str]


def named(page: str) -> Named:
    """The settings that a page names, on what a session is, and other words in code.

    Raises:
        ValueError: it says nothing of sessions.
    """
    found = _SECTION.search(page)
    if found is None:
        raise ValueError("the page does not say what a session is")
    before, _, fixed = found[1].partition(_FIXED)
    overridden = before.partition(_OVERRIDDEN)[2]
    return Named([_ROLE, *_NAMED.findall(overridden)], _NAMED.findall(fixed))


async def check_levels(dsn: str, page: str) -> Findings:
    """Set each setting that the page names to another value, at each level where it can be set.

    Args:
        dsn: a database of a server that nobody else uses, as its superuser reaches it.
        page: what is said of sessions.

    Raises:
        TimeoutError: the server does not take on its settings.
    """
    said = named(page)
    problems: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as owner:
        own = await _session(dsn, [*said.overridden, *said.fixed])
        others = _others(owner, own)
        database = sql.Identifier(owner.info.dbname)
        login = sql.SQL("{} IN DATABASE {}").format(sql.Identifier(owner.info.user), database)
        levels = {
            "database": sql.SQL("DATABASE {}").format(database),
            "login": sql.SQL("ROLE {}").format(login),
            "server": sql.SQL("SYSTEM"),
        }
        for level, whose in levels.items():
            set_there = {name: value for name, value in others.items() if (level, name) != ("server", _ROLE)}
            with _altered(owner, dsn, whose, set_there):
                found = await _session(dsn, list(set_there))
            problems += _differences(level, own, set_there, found)
        alike = _alike(owner, own)
    asked = others | {name: value for name, (value, _) in _OF_OPTIONS.items()}
    expected = own | {name: others[name] for name in said.overridden if name in others}
    expected |= {name: given for name, (_, given) in _OF_OPTIONS.items()}
    problems += await _wrong_options(dsn, expected, asked)
    found = await _in_url(dsn, " ".join(alike.values()), list(own))
    problems += _differences("connection", own, alike, found)
    return Findings((3 + 2 * len(_WRITTEN)) * len(others) + len(own), problems)


async def _wrong_options(dsn: str, expected: Mapping[str, str], asked: Mapping[str, str]) -> Sequence[str]:
    """What is wrong with a session, in the first way to write options in which anything is."""
    for write in _WRITTEN:
        options = {name: write(name, _escaped(value)) for name, value in asked.items()}
        for session in (_in_url, _in_variable):
            found = await session(dsn, " ".join(options.values()), [*asked, _NAME])
            others = {**options, _NAME: _OTHER_NAME}
            if problems := [*_differences("connection", {**expected, _NAME: _OTHER_NAME}, others, found)]:
                return problems
    return []


async def _in_url(dsn: str, options: str, names: Sequence[str]) -> dict[str, str]:
    return await _session(make_conninfo(dsn, options=options, application_name=_OTHER_NAME), names)


async def _in_variable(dsn: str, options: str, names: Sequence[str]) -> dict[str, str]:
    variables = {"OPTIONS": options, "CLIENTENCODING": _TEXTS["client_encoding"], "APPNAME": _OTHER_NAME}
    with patch.dict(os.environ, {f"PG{name}": value for name, value in variables.items()}):
        return await _session(dsn, names)


def _alike(owner: psycopg.Connection, own: Mapping[str, str]) -> dict[str, str]:
    """For each setting options that do not make it: others, whose names or values have its name in them."""
    alike: dict[str, str] = {}
    for name in own:
        others = owner.execute(_OTHERS, {"name": name}).fetchall()
        made = [f"-c {other}={_escaped(value)}" for other, value in others]
        made += [f"--my.{name}=1", f"-cmy_{name}.our_{name}=1", f"-c my.own=--{name}=1"]
        alike[name] = " ".join(made)
    return alike


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(" ", "\\ ")


async def _session(dsn: str, names: Sequence[str]) -> dict[str, str]:
    """Settings of a session as the service opens it; of a search path, where it begins."""
    async with (
        make_pool(Settings(database_url=dsn, pool_min=1, pool_max=1)) as pool,
        pool.connection() as connection,
    ):
        rows = await (await connection.execute(_VALUES, (list(names),))).fetchall()
    return {name: value.partition(",")[0] for name, value in rows}


def _others(owner: psycopg.Connection, own: Mapping[str, str]) -> dict[str, str]:
    """For each setting that this server knows a value that the service's sessions do not have."""
    others = {_ROLE: _OTHER_ROLE}
    for name, kind, values in owner.execute(_TYPES, (list(own),)).fetchall():
        choices = values or (("on", "off") if kind == "bool" else (_TIME,))
        others[name] = _TEXTS.get(name) or [each for each in choices if each != own[name]][-1]
    return others


@contextmanager
def _altered(
    owner: psycopg.Connection, dsn: str, whose: sql.Composable, others: Mapping[str, str]
) -> Iterator[None]:
    """New sessions have these settings as long as the block runs."""
    for name, value in others.items():
        change = sql.SQL("ALTER {} SET {} = {}")
        owner.execute(change.format(whose, sql.Identifier(name), sql.Literal(value)))
    _reload(owner, dsn, others, has=True)
    try:
        yield
    finally:
        for name in others:
            owner.execute(sql.SQL("ALTER {} RESET {}").format(whose, sql.Identifier(name)))
        _reload(owner, dsn, others, has=False)


def _reload(owner: psycopg.Connection, dsn: str, others: Mapping[str, str], *, has: bool) -> None:
    """Have the server read its settings, and wait until new sessions have all of these, or lack them."""
    owner.execute("SELECT pg_reload_conf()")
    deadline = monotonic() + _RELOAD_LIMIT_S
    while True:
        with psycopg.connect(dsn) as new:
            rows = new.execute(_VALUES, (list(others),)).fetchall()
        if all((others[name] == value) is has for name, value in rows if name == _TELLING):
            return
        if monotonic() > deadline:
            raise TimeoutError(f"new sessions have not had other settings for {_RELOAD_LIMIT_S:g} s: {rows}")
        sleep(_BEAT_S)


def _differences(
    level: str, expected: Mapping[str, str], others: Mapping[str, str], found: Mapping[str, str]
) -> Iterator[str]:
    for name, value in found.items():
        if value != expected[name]:
            yield (
                f"{_BREAKS.get(name, 'I9')}: the service's sessions have {name} = {value}, and not "
                f"{expected[name]}, where the {level} has {others[name]}"
            )
