"""A domain without a database: clients raise a counter, and none of their additions may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pgweave.drive.domain import BrokenServiceError, Facts, World
from pgweave.interleavings.execution import Execution
from pgweave.interleavings.footprint import EVERYTHING, Access, Footprint, Mode, Rows
from pgweave.scheduler import Body, Process, Run

ROWS = Rows("counter")
READ = Footprint.of(Access(Mode.READ, ROWS))
WRITE = Footprint.of(Access(Mode.PUBLISH, ROWS))

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


@dataclass
class Counting:
    """Clients that raise a counter: in one step, or with a step between reading and writing.

    Attributes:
        clients: how many.
        atomic: whether each does it in one step.
        alone_in: the worlds, counted from 0, in which the last client is answered without a step.
        broken_in: the first world that cannot be made, because the service is broken.
        on_judged: is told of each run that is judged.
        worlds: how many were made.
        prepared: how often it was prepared.
    """

    clients: int = 2
    atomic: bool = False
    alone_in: range = range(0)
    broken_in: int | None = None
    on_judged: Callable[[Execution], object] = lambda _execution: None
    worlds: int = 0
    prepared: int = 0
    database: None = None
    name: str = "counting"
    told: list[Facts] = field(default_factory=list)

    @property
    def actors(self) -> list[str]:
        return [f"client {number}" for number in range(self.clients)]

    async def prepare(self) -> None:
        self.prepared += 1

    @asynccontextmanager
    async def world(self, facts: Facts, *, hurt: bool) -> AsyncIterator[World]:
        assert not hurt
        number, self.worlds = self.worlds, self.worlds + 1
        if self.broken_in is not None and number >= self.broken_in:
            raise BrokenServiceError(f"broken in world {number}")
        counter = {"value": 0}

        async def observe(_run: Run) -> int:
            return counter["value"]

        alone = number in self.alone_in
        bodies = [self._body(each, counter, facts, alone=alone) for each in range(self.clients)]
        yield World(list(zip(self.actors, bodies, strict=True)), observe)

    def _body(self, client: int, counter: dict[str, int], facts: Facts, *, alone: bool) -> Body:
        async def body(process: Process) -> None:
            operation = process.begin("add")
            if facts.answers_alone:
                await process.point("add is sent", EVERYTHING)
            if alone and client == self.clients - 1:
                counter["value"] += 1
                process.end(operation, "added")
                return
            await process.point("read", READ | WRITE if self.atomic else READ)
            seen = counter["value"]
            if not self.atomic:
                await process.point("write", WRITE)
            counter["value"] = seen + 1
            process.end(operation, "added")

        return body

    def is_answer(self, result: Any) -> bool:
        return bool(result == "added")

    def outcomes(self, result: Any) -> Hashable:
        return result  # type: ignore[no-any-return]

    def judge(self, *, hurt: bool) -> Counting:
        assert not hurt
        return self

    def find_violation(self, execution: Execution) -> str | None:
        self.on_judged(execution)
        return None if execution.result == self.clients else f"the counter is {execution.result}"
