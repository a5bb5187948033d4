"""Reads beside the same read, whose answer is on its way: each shows what was acknowledged before it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from uuid import UUID, uuid4

import msgspec

from payments_verify.binding import Http
from payments_verify.patience import comes_true, patient
from payments_verify.systems.whole import asked
from payments_verify.systems.whole.asked import Request, Sent
from payments_verify.systems.whole.behind_gate import gated_application
from pgweave.gate import Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_PROCESSES, _CONNECTIONS = 2, 3
_LIMIT_S = 20.0
_ALONE_S = 2.0
"""How long a read may need that waits for nobody; whoever takes longer is given the answer that is kept."""


async def wrong_reads(dsn: str) -> str | None:
    """Which read does not show what was acknowledged before it was asked, if one does not.

    Args:
        dsn: a prepared database that nobody else uses.
    """
    async with AsyncExitStack() as stack:
        opened = [gated_application(dsn, _CONNECTIONS) for _ in range(_PROCESSES)]
        made = [await stack.enter_async_context(each) for each in opened]
        processes = [_Process(app.http, gate) for gate, app in made]
        for writer in processes:
            for kind, case in (await _cases(writer.http)).items():
                wrong = await _wrong(case, processes, writer)
                if wrong is not None:
                    return f"I8, I10: {kind}, {wrong}"
    return None


@dataclass(frozen=True)
class _Case:
    """A read, a write that it has to show, and what it shows then."""

    read: Request
    write: Request
    shown: str


@dataclass
class _KeepsAnswer(PassAll):
    """Keeps the answer to the next statement from who asked for it."""

    kept: list[Session] = field(default_factory=list)
    is_answered: bool = False

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        if not self.kept:
            self.kept.append(statement.session)
            statement.session.answers.are_kept = True
        statement.release()

    def answered(self, statement: HeldStatement) -> None:
        self.is_answered |= statement.session in self.kept


@dataclass
class _Process:
    """A process of the service, and what holds back the answers that it gets."""

    http: Http
    gate: Gate
    keeps: _KeepsAnswer = field(default_factory=_KeepsAnswer)

    async def ask(self, read: Request) -> Sent:
        """A read whose answer the database has given, and the process has not got."""
        self.gate.observer = self.keeps = _KeepsAnswer()
        sent = asked.send(self.http, read)
        await comes_true(lambda: self.keeps.is_answered or sent.done(), _LIMIT_S)
        self.gate.observer = PassAll()
        return sent

    def deliver(self) -> None:
        """Give the process what was kept from it."""
        for each in self.keeps.kept:
            each.deliver()


async def _cases(http: Http) -> Mapping[str, _Case]:
    """A case of each kind of read."""
    payment, new, another, listed = (uuid4() for _ in range(4))
    await asked.authorized(http, payment)
    for key in ("first", "second"):
        await asked.answer(http, asked.capture(payment, key, 501))
    await asked.answer(http, asked.create(another))
    keys = (f"k{number}" for number in count())

    def refused() -> tuple[Request, str]:
        return asked.capture(payment, key := next(keys), 501), f'"{key}"'

    def created(new: UUID) -> tuple[Request, str]:
        return asked.create(new), str(new)

    attempts = f"/payments/{payment}/captures"
    place = await _next(http, f"{attempts}?limit=1")
    last = await _next(http, "/payments?limit=1")
    return {
        "a payment": _Case(asked.read(another), asked.authorize(another), '"authorized"'),
        "a payment that is not there": _Case(asked.read(new), *created(new)),
        "attempts": _Case(Request("GET", attempts), *refused()),
        "attempts from a place": _Case(Request("GET", f"{attempts}?after={place}"), *refused()),
        "the list": _Case(Request("GET", "/payments"), *created(uuid4())),
        "a page of the list": _Case(Request("GET", f"/payments?after={last}"), *created(listed)),
    }


async def _next(http: Http, path: str) -> str:
    answer = await asked.answer(http, Request("GET", path))
    return str(msgspec.json.decode(answer.content)["next"])


async def _wrong(case: _Case, processes: Sequence[_Process], writer: _Process) -> str | None:
    """Ask each process, write, and ask each again before the first answers have come to them."""
    first = [await each.ask(case.read) for each in processes]
    written = await asked.answer(writer.http, case.write)
    second = [asked.send(each.http, case.read) for each in processes]
    await asyncio.wait(second, timeout=_ALONE_S)
    for each in processes:
        each.deliver()
    await asyncio.wait([*first, *second], timeout=patient(_LIMIT_S))
    for process, sent in zip(processes, second, strict=True):
        if not sent.done():
            return f"{case.read} has no answer while the same is read"
        if case.shown not in sent.result().text:
            whose = "the same process" if process is writer else "another process"
            return (
                f"{case.write} was answered {written.status_code} by {whose}, and {case.read}, asked then, "
                f"beside the same that was asked before, does not show {case.shown}: {sent.result().text}"
            )
    return None
