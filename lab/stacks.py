"""Peers in the stacks that people use: each reaches its level, each bug is found; and a table of them.

What became of a peer is a line of a file, and a row of a page. Both keep what they have of others, so that a
machine needs the tools of those alone that it examines.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from lab.pages.blocks import table
from lab.peers import Peer
from payments_verify.payments.conformance.examination import QUICK, Examination, examine
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.result import Progress, ViolationFound, no_progress
from payments_verify.systems import examination_of
from pgweave.gate import Feature

HEADER = ("service", "stack", "protocol features met", "level", "schedules", "faults", "seconds")
_BLOCK = re.compile(r"(<!-- made by `python -m lab peers --table` -->\n).*?(<!-- end -->)", re.DOTALL)
_MOST_SAID = 140
_EXPLORED = 4
"""The level from which on scenarios are explored."""
_ID = re.compile(r"'payment': '[0-9a-f-]+', ")


class ExaminedPeer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a peer.

    Attributes:
        sources: a hash of the code that ran.
        name: the peer's.
        stack: what it is made of.
        features: what its driver uses of the protocol, as the gate saw it.
        level: the highest level that was reached; that at which a bug was found; ``None`` for neither.
        without: the scenarios that were not explored: they have too many schedules.
        is_bug: whether it has one.
        schedules: how many were run at level 4.
        faults: how many were injected at level 5.
        seconds: how long it took.
        counterexample: of its bug, or of what should not be.
        problem: what is not as its file says; ``None`` if nothing.
    """

    sources: str
    name: str
    stack: str
    features: list[str] = []
    level: int | None = None
    without: list[str] = []
    is_bug: bool = False
    schedules: int = 0
    faults: int = 0
    seconds: float
    counterexample: str | None = None
    problem: str | None = None


def examine_peer(
    peer: Peer,
    *,
    sources: str,
    folder: Path,
    seed: int = 1,
    on_level: Callable[[int], Progress] = lambda _level: no_progress,
) -> ExaminedPeer:
    """Examine a peer: up to its level, or with its bug at the level at which that is found.

    Args:
        peer: the peer.
        sources: a hash of the code, to be kept with the result.
        folder: for histories and schedules.
        seed: draws what is drawn.
        on_level: is told of each level as it begins, and gives what its progress is told to.

    Raises:
        CommandError: it did not come to serve.
    """
    started = time.monotonic()
    features: set[Feature] = set()
    levels: list[LevelResult] = []
    with examination_of(
        peer.command, peer.binding, quick=True, binding_file=peer.binding_file, highest=peer.level
    ) as examination:
        with suppress(ViolationFound):  # it is among the levels
            examine(
                _watched(peer.explored(examination), features),
                QUICK,
                folder=folder / peer.name.replace("/", "-").replace(" ", "-"),
                seed=seed,
                levels=range(peer.level if peer.says else 1, peer.level + 1),
                on_level=on_level,
                results=levels,
            )
        unchecked = [each for each in examination.unchecked if "levels 4 and 5: " in each]
    cases = {each.level: each.cases for each in levels}
    told = next((each.counterexample or each.reason for each in levels if each.verdict != "holds"), None)
    return ExaminedPeer(
        sources=sources,
        name=peer.name,
        stack=peer.stack,
        features=[each.value for each in Feature if each in features],
        level=_found_at(levels) if peer.says else _reached(levels),
        without=[] if peer.level < _EXPLORED else list(peer.without),
        is_bug=bool(peer.says),
        schedules=cases.get(4, 0),
        faults=cases.get(5, 0),
        seconds=round(time.monotonic() - started, 1),
        counterexample=told,
        problem=_problem(peer, levels, told, unchecked),
    )


def _reached(levels: Sequence[LevelResult]) -> int | None:
    return max((each.level for each in levels if each.verdict == "holds"), default=None)


def _found_at(levels: Sequence[LevelResult]) -> int | None:
    return next((each.level for each in levels if each.verdict == "violated"), None)


def _problem(
    peer: Peer, levels: Sequence[LevelResult], told: str | None, unchecked: Sequence[str]
) -> str | None:
    if not peer.says:
        if _reached(levels) == peer.level and told is None:
            return None
        return told or "; ".join(unchecked) or f"it does not reach level {peer.level}"
    if _found_at(levels) != peer.level:
        return told or f"its bug is not found at level {peer.level}"
    if any(each in (told or "") for each in peer.says):
        return None
    return f"its counterexample does not say {' or '.join(map(repr, peer.says))}:\n{told}"


def _watched(examination: Examination, features: set[Feature]) -> Examination:
    if examination.open_behind_gate is None:
        return examination
    return replace(examination, open_behind_gate=_watching(examination.open_behind_gate, features))


def _watching(open_service: OpenService, features: set[Feature]) -> OpenService:
    """Opens a service, and adds at its end which features of the protocol its gate has met."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ServiceUnderTest]:
        async with open_service() as service:
            try:
                yield service
            finally:
                if service.database is not None:
                    features.update(service.database.gate.features)

    return opened


def read_examined(file: Path) -> dict[str, ExaminedPeer]:
    """The last result of each peer that a file has, by name.

    Raises:
        ValueError: a line is no result.
    """
    lines = file.read_bytes().splitlines() if file.exists() else []
    try:
        found = [msgspec.json.decode(line, type=ExaminedPeer) for line in lines]
    except msgspec.MsgspecError as error:
        raise ValueError(f"{file} has a line that is no result ({error}): remove it, or the file") from None
    return {each.name: each for each in found}


def filled(page: str, found: Iterable[ExaminedPeer]) -> str:
    """The page, with a row for each of these peers; rows of others stay.

    Raises:
        ValueError: the page has no place for the table.
    """
    if _BLOCK.search(page) is None:
        raise ValueError("the page has no block that is made by `python -m lab peers --table`")
    rows = rows_of(page) | {each.name: _row(each) for each in found if each.problem is None}
    made = table(HEADER, [rows[name] for name in sorted(rows)])
    return _BLOCK.sub(lambda block: f"{block[1]}{made}\n{block[2]}", page)


def rows_of(page: str) -> dict[str, list[str]]:
    """The rows of the table in a page, by the peer's name."""
    block = _BLOCK.search(page)
    lines = block[0].splitlines()[3:-1] if block is not None else []
    rows = [[cell.strip().replace("\\|", "|") for cell in line.strip("| ").split(" | ")] for line in lines]
    return {row[0]: row for row in rows}


def _row(found: ExaminedPeer) -> list[str]:
    reached = ", without ".join(filter(None, [f"{found.level}", " and ".join(found.without)]))
    level = reached if not found.is_bug else f"fails {found.level}: {_said(found)}"
    numbers = [f"{each:,}" if each else "–" for each in (found.schedules, found.faults)]
    return [
        found.name,
        found.stack,
        ", ".join(found.features) or "–",
        level,
        *numbers,
        f"{found.seconds:.0f}",
    ]


def _said(found: ExaminedPeer) -> str:
    """The scenario, and the answer that the model does not give; or the first line of the counterexample."""
    first, *rest = (found.counterexample or "").splitlines()
    wrong = next((line.split() for line in rest if " but payments answers " in line), None)
    if wrong is not None:
        return f"{first.partition(':')[0]}: {' '.join(wrong[3:])}"  # without its letter and process
    first = _ID.sub("", first)
    return first if len(first) <= _MOST_SAID else f"{first[:_MOST_SAID]} …"
