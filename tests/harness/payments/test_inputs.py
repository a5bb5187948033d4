"""Classes of inputs: the program of each finds what the class shows; what was not reached does not hold."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from hashlib import md5, sha256
from html import unescape
from pathlib import Path
from struct import pack, unpack
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4
from zlib import crc32
from zoneinfo import TZPATH

import psycopg
import pytest

from payments_verify.binding.coverage import traits_of, unchecked
from payments_verify.binding.file import default_text, parse
from payments_verify.payments.inputs.classes import (
    ALIKE_AMOUNTS,
    ALIKE_KEYS,
    ALL_CLASSES,
    AMOUNTS,
    FEW_REFUSALS,
    FULL_LIST,
    INSTANTS,
    LONG_AGO,
    LONG_LIST,
    MANY_REFUSALS,
    NAMED_TIME_ZONE,
    TIME_ZONE,
    WHOLE_SECONDS,
    left_out,
)
from payments_verify.payments.inputs.coverage import in_another_time_zone
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.programs import run as programs
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.programs.compared import ComparedCalls
from payments_verify.payments.programs.of_classes import input_programs
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.systems import in_memory
from tests.support.postgres import Database

EARLY = ("clock: the Unix epoch", "clock: PostgreSQL's epoch", "clock: 10^9 seconds")


@dataclass
class Folding:
    """A client that takes some keys, or amounts, for others that it has sent before."""

    inner: Sender
    fold_key: Callable[[str], Any] = str
    fold_amount: Callable[[Any], Any] = lambda amount: amount
    seen: dict[tuple[str, Any], Any] = field(default_factory=dict, init=False)

    async def send(self, invocation: Invocation) -> Observation:
        value = dict(invocation.value)
        for name, fold in (("key", self.fold_key), ("amount", self.fold_amount)):
            if name in value and type(value[name]) in (str, int):
                value[name] = self.seen.setdefault((name, fold(value[name])), value[name])
        return await self.inner.send(replace(invocation, value=value))


@dataclass
class Cut:
    """A client that sees no more than a page of attempts."""

    inner: Sender

    async def send(self, invocation: Invocation) -> Observation:
        seen = await self.inner.send(invocation)
        if invocation.f != "attempts" or seen.kind != "ok":
            return seen
        return replace(seen, value={**seen.value, "attempts": seen.value["attempts"][:50]})


@asynccontextmanager
async def folding(**folds: Callable[[Any], Any]) -> AsyncIterator[ServiceUnderTest]:
    async with in_memory() as system:
        yield replace(system, clients=tuple(Folding(client, **folds) for client in system.clients))


@contextmanager
def opened(
    context: AbstractAsyncContextManager[ServiceUnderTest], runner: asyncio.Runner
) -> Iterator[ServiceUnderTest]:
    """What the context opens in the runner's loop."""
    system = runner.run(context.__aenter__())
    try:
        yield system
    finally:
        runner.run(context.__aexit__(None, None, None))


def found_by(name: str, **folds: Callable[[Any], Any]) -> bool:
    """Whether the class's program alone finds it."""
    with asyncio.Runner() as runner, opened(folding(**folds), runner) as system:
        calls = type("Calls", (ComparedCalls,), {"system": system, "runner": runner, "tally": Tally()})
        try:
            input_programs(system.traits)[name](calls())
        except MismatchError:
            return True
    return False


def hash_of_java(key: str) -> int:
    total = 0
    for character in key:
        total = (31 * total + ord(character)) % 2**32
    return total


def fnv(key: str) -> int:
    total = 0x811C9DC5
    for byte in key.encode():
        total = (total ^ byte) * 0x01000193 % 2**32
    return total


def number(key: str) -> Any:
    try:
        return int(key, 0) if key.startswith("0x") else float(key)
    except ValueError:
        return key


FOLDS: dict[str, list[Callable[[str], Any]]] = {
    "keys: differ in character 37": [lambda key: key[:36]],
    "keys: differ in character 65": [lambda key: key[:64]],
    "keys: differ in character 129": [lambda key: key[:128]],
    "keys: differ in character 255": [lambda key: key[:254]],
    "keys: long, differ in the first character": [lambda key: key[-254:]],
    "keys: case": [str.casefold, str.title],
    "keys: spaces at the edges": [str.strip, str.lstrip, str.rstrip],
    "keys: spaces within": [lambda key: " ".join(key.split()), lambda key: key.replace(" ", "")],
    "keys: prefixes of each other": [lambda key: key[:7]],
    "keys: leading zeros and signs": [number, lambda key: key.lstrip("0")],
    "keys: ways to write a number": [number],
    "keys: ways to write a UUID": [lambda key: key.strip("{}").replace("-", "").lower()],
    "keys: punctuation that collations pass over": [lambda key: "".join(filter(str.isalnum, key))],
    "keys: quotes": [lambda key: key.strip('"'), lambda key: key.strip("'")],
    "keys: backslashes and escapes of JSON": [
        lambda key: key.replace("\\u0041", "A"),
        lambda key: key.replace("\\\\", "\\"),
        lambda key: key.replace("\\", ""),
    ],
    "keys: escapes of URLs": [unquote_plus],
    "keys: paths and queries": [lambda key: key.partition("?")[0], os.path.normpath],
    "keys: entities of HTML": [unescape],
    "keys: wildcards of SQL": [lambda key: key.replace("%", "").replace("_", "")],
    "keys: quotes and comments of SQL": [
        lambda key: key.partition("--")[0],
        lambda key: key.replace("''", "'"),
    ],
    "keys: lists and parameters of headers": [
        lambda key: key.partition(",")[0],
        lambda key: key.partition(";")[0],
    ],
    "keys: what a shell expands": [lambda key: key.replace("{", "").replace("}", "")],
    "keys: separators of joined keys": [lambda key: key.translate(str.maketrans(":|/,", "::::"))],
    "keys: words of a language": [
        str.lower,
        lambda key: {"true": "1", "True": "1", "None": "null"}.get(key, key),
    ],
    "keys: one letter less, more, or another": [
        lambda key: "".join(dict.fromkeys(key)),
        lambda key: key[:5],
        lambda key: key.replace("-", ""),
    ],
    "keys: the same letters in another order": [lambda key: sum(key.encode()) % 2**16],
    "keys: equal by CRC-32, FNV-1a, or the hash of Java's strings": [
        lambda key: crc32(key.encode()),
        hash_of_java,
        fnv,
    ],
    "keys: equal in 32 bits of MD5, of SHA-256, or by PostgreSQL's hashtext": [
        lambda key: md5(key.encode(), usedforsecurity=False).hexdigest()[:8],
        lambda key: sha256(key.encode()).hexdigest()[:8],
    ],
}


@pytest.mark.invariant("I3")
@pytest.mark.parametrize("name", ALIKE_KEYS)
def test_keys_that_a_service_takes_for_equal_are_told_apart(name: str) -> None:
    for fold in FOLDS[name]:
        assert found_by(name, fold_key=fold)
    assert not found_by(name)


@pytest.mark.invariant("I1")
@pytest.mark.parametrize(
    ("name", "fold"),
    [
        ("amounts: equal in 8 or 16 bits", lambda amount: amount % 2**16),
        ("amounts: equal in 8 or 16 bits", lambda amount: amount % 2**8),
        ("amounts: equal in 32 bits", lambda amount: amount % 2**32),
        ("amounts: equal in 32 bits", lambda amount: amount % 2**31),
        (
            "amounts: equal as floats of 32 bits",
            lambda amount: unpack("f", pack("f", amount)),
        ),
        ("amounts: equal in whole units", lambda amount: amount // 100),
        ("amounts: one digit more, or others at the end", lambda amount: f"{amount:.6g}"),
    ],
)
def test_amounts_that_a_service_takes_for_equal_are_told_apart(name: str, fold: Callable[[int], Any]) -> None:
    assert name in ALIKE_AMOUNTS
    assert found_by(name, fold_amount=fold)


@pytest.mark.parametrize(
    ("name", "amount", "kept_as"),
    [
        ("amounts: the least and the most", 999_999_999_999, 1),
        ("amounts: powers of two", 2**31, 2**31 - 1),
        ("amounts: powers of ten", 10**9, 10**9 - 1),
        ("amounts: no binary fraction of 100", 57, 29),
    ],
)
def test_amounts_at_which_types_end_are_captured(name: str, amount: int, kept_as: int) -> None:
    assert amount in AMOUNTS[name]
    assert found_by(name, fold_amount=lambda asked: kept_as if asked == amount else asked)
    assert not found_by(name)


def test_a_long_list_is_compared_to_its_end() -> None:
    @asynccontextmanager
    async def cut() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as system:
            yield replace(system, clients=tuple(Cut(client) for client in system.clients))

    with asyncio.Runner() as runner, opened(cut(), runner) as system:
        calls = type("Calls", (ComparedCalls,), {"system": system, "runner": runner, "tally": Tally()})
        with pytest.raises(MismatchError, match="attempts"):
            input_programs(system.traits)[LONG_LIST](calls())


def test_each_class_is_reached_and_counted() -> None:
    result = machine_check("right", in_memory, examples=1, steps=1, seed=1)
    assert result.verdict == "holds"
    out = {FULL_LIST: MANY_REFUSALS, "windows: no whole seconds": WHOLE_SECONDS}
    assert list(result.details["inputs"]["reached"]) == [name for name in ALL_CLASSES if name not in out]
    assert min(result.details["inputs"]["reached"].values()) > 0
    assert result.details["inputs"]["left_out"] == out


@pytest.mark.parametrize(("looks_first", "is_right"), [(True, True), (False, False)])
def test_a_limit_of_refusals_that_is_asked_before_the_key_is_found(looks_first: bool, is_right: bool) -> None:
    class Limited:
        def __init__(self, inner: Sender) -> None:
            self.inner, self.refused = inner, 0

        async def send(self, invocation: Invocation) -> Observation:
            another = {**invocation.value, "key": f"{uuid4()}", "amount": 1}
            if invocation.f == "capture" and self.refused >= FEW_REFUSALS and not looks_first:
                return await self.inner.send(replace(invocation, value=another))
            seen = await self.inner.send(invocation)
            self.refused += seen.value.get("outcome") == "amount_mismatch" and not seen.value["replayed"]
            return seen

    @asynccontextmanager
    async def limited() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory(FEW_REFUSALS) as system:
            yield replace(system, clients=(Limited(system.client),), surface=None)

    with asyncio.Runner() as runner, opened(limited(), runner) as system:
        calls = type("Calls", (ComparedCalls,), {"system": system, "runner": runner, "tally": Tally()})
        with nullcontext() if is_right else pytest.raises(MismatchError, match="too_many_refusals"):
            input_programs(system.traits)[FULL_LIST](calls())


def test_a_service_that_cuts_windows_to_whole_seconds_is_found() -> None:
    """Over an interface of milliseconds, that is: the one in memory is asked in seconds."""

    @asynccontextmanager
    async def cutting() -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as system:
            yield replace(system, traits=replace(system.traits, window_unit=1_000))

    result = machine_check("cutting", cutting, examples=1, steps=1, seed=1)
    assert result.verdict == "violated"
    assert "'window': 1001000" in (result.counterexample or "")


def test_what_no_program_came_to_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    leap = "clock: a leap day"
    without = {name: run for name, run in input_programs(EVERYTHING).items() if name != leap}
    monkeypatch.setattr(programs, "input_programs", lambda _: without)
    result = machine_check("right", in_memory, examples=1, steps=1, seed=1)
    assert result.verdict == "no verdict"
    assert result.counterexample == f"no program came to these classes of inputs: {leap}"


def test_what_a_binding_leaves_out_is_named() -> None:
    uuids = parse(default_text().replace('key = "quoted text"', 'key = "uuid"'), "mine.toml")
    out = left_out(traits_of(uuids, moves_clock=False))
    assert set(ALIKE_KEYS) < set(out)
    assert set(INSTANTS) < set(out)
    told = list(unchecked(uuids, traits_of(uuids, moves_clock=True), has_database=True))
    assert any("keys: case" in each for each in told)
    short = parse(default_text().replace("{1,255}", "{1,64}"), "mine.toml")
    assert left_out(traits_of(short, moves_clock=True)) == {
        "keys: differ in character 65": "limits.keys",
        "keys: differ in character 129": "limits.keys",
        "keys: differ in character 255": "limits.keys",
        "keys: long, differ in the first character": "limits.keys",
        "windows: no whole seconds": WHOLE_SECONDS,
        FULL_LIST: MANY_REFUSALS,
        **dict.fromkeys(EARLY, LONG_AGO),
    }


def test_the_time_zone_of_host_and_sessions_is_another(
    shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("PGTZ", raising=False)
    time.tzset()
    with in_another_time_zone():
        has_names = any((Path(folder) / NAMED_TIME_ZONE).is_file() for folder in TZPATH)
        assert os.environ["TZ"] == (NAMED_TIME_ZONE if has_names else TIME_ZONE)
        assert time.localtime(1_900_000_000).tm_gmtoff == -4 * 3_600
        assert time.localtime(1_920_000_000).tm_gmtoff == -5 * 3_600
        with psycopg.connect(shared_database.dsn) as connection:
            hours = "SELECT extract(timezone FROM to_timestamp(%s)) / 3600"
            row = connection.execute(hours, [1_900_000_000]).fetchone()
            assert row is not None
            assert row[0] == -4
    assert os.environ["TZ"] == "UTC"
    assert "PGTZ" not in os.environ
    assert time.localtime(1_900_000_000).tm_gmtoff == 0
