"""Clients as the processes of a run, and what they were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pgweave.calling import call
from pgweave.drive.domain import Facts
from pgweave.history.operations import Operation, Outcome
from pgweave.interleavings.footprint import EVERYTHING
from pgweave.scenario import Scenario, argument_of, arguments_taken, name_of
from pgweave.scheduler import Body, Process, ScheduledOperation
from pgweave.timeline.model import TimelineOperation


@dataclass(eq=False)
class Heard:
    """What the clients of one run were answered, in the order of the answers.

    Attributes:
        scenario: whose clients they are.
        address: where they turn to.
        world: what the setup returned.
        dsn: leads through the proxy, for clients that are none of the service's: a clock, an administrator.
        facts: what is known of them: if some are answered without a statement, beginning is a step.
        done: the operations that were answered, or that raised something.
    """

    scenario: Scenario
    address: str
    world: object
    dsn: str = ""
    facts: Facts = field(default_factory=Facts)
    done: list[ScheduledOperation] = field(default_factory=list)
    _begun_after: list[int] = field(default_factory=list)

    def bodies(self) -> list[tuple[str, Body]]:
        """What each client does, by its name."""
        return [(name, self._body(number)) for number, name in enumerate(self.scenario.names)]

    def _body(self, number: int) -> Body:
        async def body(process: Process) -> None:
            for client in self.scenario.operations[number]:
                operation = process.begin(client)
                begun_after = len(self.done)
                if self.facts.answers_alone:
                    await process.point(f"{self._text(operation)} begins", EVERYTHING)
                given = (self.address, self.world, self.dsn)
                try:
                    answer = await call(client, *given[: arguments_taken(client, len(given))])
                except Exception as error:  # noqa: BLE001 - the client's; it is told
                    answer = error
                process.end(operation, answer)
                self.note(operation, begun_after)
                if isinstance(answer, Exception):
                    return

        return body

    def note(self, operation: ScheduledOperation, begun_after: int) -> None:
        """Note that an operation was answered, which was begun after so many others had been."""
        self.done.append(operation)
        self._begun_after.append(begun_after)

    @property
    def raised(self) -> str:
        """The first operation that raised something, and what; empty if none did."""
        return next(
            (
                f"{self._text(each)} raised {self._told(each)}"
                for each in self.done
                if isinstance(each.result, Exception)
            ),
            "",
        )

    @property
    def answers(self) -> list[Any]:
        """The answer of each client; of one that makes several operations, the list of them."""
        found: list[list[Any]] = [[] for _ in self.scenario.clients]
        for each in self.done:
            found[each.process].append(each.result)
        return [
            answers[0] if callable(client) else answers
            for client, answers in zip(self.scenario.clients, found, strict=True)
        ]

    def history(self, order: Sequence[int] | None = None) -> tuple[Operation, ...]:
        """The operations as a history: each lasts from just before its first step to just after its answer.

        One without a step lasts from its true beginning: nothing is ordered that was not.

        Args:
            order: the indices of the run's steps, in an order that is equivalent to that of the run; that one
                if not given.
        """
        place = None if order is None else {step: position for position, step in enumerate(order)}
        ends = [(_at(each.answered, place) + 0.25, number, 0) for number, each in enumerate(self.done)]
        events: list[tuple[tuple[float, int, int], int]] = []
        last: dict[int, tuple[float, int, int]] = {}
        for number, each in enumerate(self.done):
            after = [last[each.process]] if each.process in last else []
            if each.first is None and self._begun_after[number]:
                after.append(ends[self._begun_after[number] - 1])
            begin = max([(_at(each.first, place) - 0.25, number, 0), *((*one[:2], 1) for one in after)])
            end = last[each.process] = max(ends[number], (*begin[:2], 2))
            events += [(begin, number), (end, number)]
        at: dict[int, list[int]] = {}
        for position, (_, number) in enumerate(sorted(events)):
            at.setdefault(number, []).append(position)
        found = (
            Operation(
                each.process,
                name_of(each.value),
                argument_of(each.value),
                Outcome.OK,
                each.result,
                *at[number],
            )
            for number, each in enumerate(self.done)
        )
        return tuple(sorted(found, key=lambda operation: operation.called))

    def drawn(self) -> tuple[TimelineOperation, ...]:
        """The operations for a picture, in the order of the clients."""
        return tuple(
            TimelineOperation(
                each.process,
                self._text(each),
                self._told(each),
                first=each.first,
                last=None if each.first is None else each.answered,
            )
            for each in sorted(self.done, key=lambda one: one.process)
        )

    def _told(self, each: ScheduledOperation) -> str:
        """What was answered or raised; where the service is differs from one run to the next."""
        told = named(each.result) if isinstance(each.result, Exception) else repr(each.result)
        return told.replace(self.address, "…") if self.address else told

    def _text(self, each: ScheduledOperation) -> str:
        argument = argument_of(each.value)
        if argument is None and callable(self.scenario.clients[each.process]):
            return self.scenario.names[each.process]
        return " ".join([name_of(each.value), *map(str, (argument or {}).values())])


def _at(step: int | None, place: Mapping[int, int] | None) -> int:
    step = step or 0
    return step if place is None else place[step]


def named(error: BaseException) -> str:
    """An exception in words."""
    return f"{type(error).__name__}: {error}".strip().removesuffix(":")
