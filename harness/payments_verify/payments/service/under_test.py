"""The service that is examined: one type, whatever it is made of and wherever it runs.

`payments_verify.systems` has the ways to make one. Each is an asynchronous context manager that opens what
the service needs, and closes it. So the pool, the gate, the monitor and the sessions of clock and sweep have
one owner: who opened the service. Whoever is given a service closes nothing of it, but for the row holders
that it opens itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, Protocol, TypeAlias

from payments_verify.payments.observed.http_steps import Expected, HttpRun, HttpStep
from payments_verify.payments.observed.observations import Invocation, Observation, Sender
from payments_verify.payments.observed.traits import EVERYTHING, Traits
from payments_verify.payments.service.row_holders import RowHolder
from pgweave.scheduler import GatedDatabase, Limits
from pgweave.service.command import CommandError
from pgweave.service.end import End
from pgweave.service.exchange import HttpExchange, exchanges_kept
from pgweave.visible import without_passwords

NO_ANSWER = "definite answer"
"""Stands in what is told of a request that was answered by nothing, by a 5xx, or by what cannot be read."""


class SweepError(RuntimeError):
    """The sweep of somebody else's service cannot be run as the harness was told; the message says how."""


class SetUpError(CommandError):
    """What has to come before others was refused, so that nothing can be asked; the message says what.

    Attributes:
        has_failed: whether the answer was a 5xx, as it may be where something was broken on purpose.
    """

    def __init__(self, told: str, *, has_failed: bool = False) -> None:
        self.has_failed = has_failed
        super().__init__(told)


class SweeperEndedError(SweepError):
    """The task in which a service sweeps by itself has ended, or fails for good: it sweeps no more."""


class UnansweredError(RuntimeError):
    """A request has no definite answer; the message says which, and what was heard.

    Attributes:
        http: what was asked up to there, as HTTP, where that was kept.
    """

    http = HttpRun()


class EndedError(UnansweredError):
    """It has none because the service has ended.

    Attributes:
        end: how.
    """

    def __init__(self, asked: str, end: End) -> None:
        self.end = end
        super().__init__(f"{asked} got no {NO_ANSWER}: {end}")


async def goes_on() -> End | None:
    """The end of a service of which the harness does not see whether it has ended: none."""
    return None


def prints_nothing() -> str:
    """What a service has printed that the harness does not see."""
    return ""


def with_output(told: str, printed: str) -> str:
    """What was wrong, with what the service itself said where it gave no definite answer: that hides why."""
    if NO_ANSWER not in told or not printed.strip():
        return told
    return (
        f"{told}\n\nthe last that the service printed:\n{indent(without_passwords(printed.rstrip()), '  ')}"
    )


class Surface(Protocol):
    """What a service shows beside the outcomes of commands. Nothing is under way when it is asked.

    A complaint begins with the invariants that are broken, and a colon.
    """

    async def counters(self) -> str | None:
        """How its counters differ from what was answered."""

    async def contract(self) -> str | None:
        """What it answers to single requests otherwise than its contract says."""

    async def lists(self, payments: Collection[str], /) -> str | None:
        """How its lists differ from these payments."""

    async def pages(self, payments: Collection[str], /) -> str | None:
        """How its list, page by page from the beginning, differs from these payments."""

    async def expiry(
        self,
        set_clock: Callable[[int], Awaitable[object]],
        hold: Callable[[str], AbstractAsyncContextManager[None]],
        within_s: float,
        /,
    ) -> str | None:
        """What keeps a due payment from expiring by itself within so many seconds."""

    async def race(self) -> str | None:
        """What goes wrong in its lists while others create payments and move them."""


class Restart(Protocol):
    """Ends a service, and starts it again on the same data."""

    async def __call__(self, *, killed: bool = False) -> None:
        """Do it: all at once, in the middle of what it does, or in order.

        Raises:
            CommandError: it does not come to serve again.
        """


Audit: TypeAlias = Callable[[], str | None]
OpenRowHolder: TypeAlias = Callable[[], AbstractAsyncContextManager[RowHolder]]


@dataclass(frozen=True)
class ServiceUnderTest:
    """A running service, and what the harness can do with it.

    Attributes:
        name: what it is, for people.
        clients: one for each process that serves.
        set_clock: sets the clock by which it decides, in µs UTC; the clock then stands still.
        sweep_batch: expires some of the payments that are due, and says how many; 0 where nobody counts them.
            ``None`` where the harness cannot run the sweep.
        open_row_holder: opens a session outside the service that takes a payment's lock; ``None`` where the
            harness cannot.
        database: the gate in front of its database, where its statements appear as steps, if there is one.
        limits: how long a run waits for a step.
        traits: what can be asked of it, and seen.
        id_of: the id that it has given a payment, where the client does not choose it.
        is_new: whether nothing was asked of it before it was opened.
        end: how it has ended, if it has; asked when a request got no answer at all.
        restart: ends each of its processes, all at once or in order, and starts it again on the same data;
            ``None`` where the harness cannot, or what it keeps is in its memory by design.
        printed: the end of its own output; empty where the harness does not have it.
        expected_http: the HTTP answer that stands for what the model answers to a command.
        secrets: values in its requests, by now, that are not shown, and the variable that has each.
        surface: what it shows beside outcomes; ``None`` where the harness does not know.
        set_up: what was sent to it before everything else.
        signed_by: the function that signs its requests; empty if none does.
        audit: what is wrong with what it has stored, told as its surface does; ``None`` where nobody looks.
        whole_checks: by what they look at, checks of a whole process of it, with all that it does beside
            requests: each makes something go wrong, and says what does not follow as it has to, if anything.
        beside: the same service again, over other databases: schedules may be run on all of them at once.
    """

    name: str
    clients: tuple[Sender, ...]
    set_clock: Callable[[int], Coroutine[Any, Any, object]]
    sweep_batch: Callable[[], Coroutine[Any, Any, int]] | None = None
    open_row_holder: OpenRowHolder | None = None
    database: GatedDatabase | None = None
    limits: Limits = field(default_factory=Limits)
    traits: Traits = EVERYTHING
    id_of: Callable[[str], str] = str
    is_new: bool = False
    end: Callable[[], Coroutine[Any, Any, End | None]] = goes_on
    restart: Restart | None = None
    printed: Callable[[], str] = prints_nothing
    expected_http: Expected = lambda _f, _answer: ""
    secrets: Callable[[], Mapping[str, str]] = dict
    surface: Surface | None = None
    set_up: tuple[HttpStep, ...] = ()
    signed_by: str = ""
    audit: Audit | None = None
    whole_checks: Mapping[str, Callable[[], Coroutine[Any, Any, str | None]]] = field(default_factory=dict)
    beside: tuple[ServiceUnderTest, ...] = ()

    def http_run(self, steps: Iterable[HttpStep]) -> HttpRun:
        """What was done to it, for people: after what was sent before everything else."""
        return HttpRun.of((*self.set_up, *steps), self.secrets(), self.signed_by)

    @property
    def client(self) -> Sender:
        """A client of its first process."""
        return self.clients[0]

    def invocation(self, f: str, payment: str, arguments: Mapping[str, Any]) -> Invocation:
        """A command of the model's as this service is asked it.

        Args:
            f: the command's name.
            payment: the payment.
            arguments: its other arguments.
        """
        return Invocation(f, self.traits.asked(f, {"payment": payment, **arguments}))

    async def complaint_beside(self, payments: Collection[str], *, page_by_page: bool = False) -> str | None:
        """What is wrong with what it shows of these payments beside outcomes, if anything is.

        Args:
            payments: their ids.
            page_by_page: whether the list of all payments is walked from its beginning, too.
        """
        if self.surface is None:
            return None
        wrong = await self.surface.pages(payments) if page_by_page else None
        wrong = wrong or await self.surface.lists(payments) or await self.surface.contract()
        return wrong or await self.surface.counters()

    async def sweep(self) -> tuple[HttpExchange, ...]:
        """Expire every payment that is due and not locked; the HTTP by which that was asked, if it was.

        Raises:
            SweepError: the sweep did not run.
        """
        assert self.sweep_batch is not None
        with exchanges_kept() as kept:
            while await self.sweep_batch():
                pass
        return tuple(kept)

    @asynccontextmanager
    async def row_held(self, payment: str) -> AsyncIterator[None]:
        """Hold a payment's lock from outside the service, and give it back with nothing changed."""
        assert self.open_row_holder is not None
        async with self.open_row_holder() as holder:
            await holder.lock(payment)
            yield
            await holder.roll_back()

    async def require_answered(self, asked: str, observed: Observation) -> None:
        """Require that a request has a definite answer.

        Args:
            asked: the request, for people.
            observed: what was heard.

        Raises:
            UnansweredError: it has none.
            EndedError: the service has ended.
        """
        if observed.kind != "unknown":
            return
        end = await self.end() if "status" not in observed.value else None
        if end is not None:
            raise EndedError(asked, end)
        raise UnansweredError(f"{asked} got no {NO_ANSWER}: {dict(observed.value)}")


OpenService: TypeAlias = Callable[[], AbstractAsyncContextManager[ServiceUnderTest]]
"""Opens a service, each time anew: what is opened twice has been restarted."""
