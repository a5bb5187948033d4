"""The surface of this repository's service: its lists and counters, over the witnesses of its processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import cycle

from payments_verify.payments.observed.observations import UnreadableAnswerError
from payments_verify.surface.at_limits import LoneProcess, broken_at_limits
from payments_verify.surface.contract import broken_contract, made_again
from payments_verify.surface.counters import wrong_counters
from payments_verify.surface.exchange import Server
from payments_verify.surface.lists import (
    walk,
    wrong_attempts,
    wrong_instant,
    wrong_list,
    wrong_while_others_write,
)
from payments_verify.surface.liveness import Hold, miscounted, not_expired, stopped
from payments_verify.surface.samples import wrong_scrape
from payments_verify.surface.witness import Witness

_LIMITS = (1, 2, 3, 50, 200)
"""Lengths of pages: payments of one instant stand on both sides of a page's end."""
_SHORT = 3
"""The length of pages of a walk from the beginning, in which many places are asked for."""


class OwnSurface:
    """What is compared when nobody asks for anything.

    Args:
        witnesses: of the service's processes.
        tokens: a token of each scope alone, by the scope's name; none if it asks for no tokens.
        servers: where each process listens, if they do.
        alone: starts another process that serves nobody else, if processes are started.
        begun_again: of a process that begins where others have been at work, if there is one.
    """

    def __init__(
        self,
        witnesses: Sequence[Witness],
        tokens: Mapping[str, str] | None = None,
        servers: Sequence[Server] = (),
        alone: Callable[[], AbstractAsyncContextManager[LoneProcess]] | None = None,
        begun_again: Sequence[Witness] = (),
    ) -> None:
        self._tokens = tokens or {}
        self._servers = dict(zip(witnesses, servers, strict=False))
        self._alone = alone
        self._begun_again = begun_again
        self._keeps_contract = False
        self._unread = list(witnesses)
        self._witnesses = witnesses
        self._processes = cycle(witnesses)
        self._limits = cycle(_LIMITS)
        self._limits_of_attempts = cycle(_LIMITS)
        self._after: str | None = None

    async def counters(self) -> str | None:
        """How the metrics differ from what was answered; ``None`` if they do not.

        Once those of a process were as a scraper takes them they are not read so again: that takes long.
        """
        while self._unread:
            if (wrong := await wrong_scrape(self._unread[-1].http)) is not None:
                return wrong
            self._unread.pop()
        for witness in self._witnesses:
            if (wrong := await wrong_counters(witness)) is not None:
                return wrong
        return None

    async def contract(self) -> str | None:
        """What it answers to single requests otherwise than the contract says; ``None`` if nothing.

        Once that was nothing it is not asked again.
        """
        try:
            return await self._broken_contract()
        except UnreadableAnswerError as error:
            return f"I8, I11: {error}"

    async def _broken_contract(self) -> str | None:
        if not self._keeps_contract:
            witness = next(self._processes)
            wrong = await broken_contract(witness, self._tokens, self._servers.get(witness))
            wrong = wrong or await made_again([*self._witnesses, *self._begun_again])
            if wrong is None and self._alone is not None:
                async with self._alone() as process:
                    wrong = await broken_at_limits(process)
            if wrong is not None:
                return wrong
            self._keeps_contract = True
        return None

    async def lists(self, payments: Collection[str]) -> str | None:
        """How the list differs from these payments; ``None`` if it does not.

        It is walked from where it ended the last time: payments are new, unless the clock went back.
        """
        http = next(self._processes)
        try:
            found, self._after = await walk(http, next(self._limits), self._after)
            if not {item["id"] for item in found}.issuperset(payments):
                found, self._after = await walk(http, _LIMITS[-1])
            wrong = await wrong_list(http, found, payments) or await self._attempts(http, payments)
            return wrong or await wrong_instant(http, payments)
        except UnreadableAnswerError as error:
            return f"I8: {error}"

    async def pages(self, payments: Collection[str]) -> str | None:
        """How the list, page by page from its beginning, differs from these payments; ``None`` if not."""
        http = next(self._processes)
        try:
            found, _ = await walk(http, _SHORT)
            return await wrong_list(http, found, payments)
        except UnreadableAnswerError as error:
            return f"I8: {error}"

    async def _attempts(self, http: Witness, payments: Collection[str]) -> str | None:
        """How the lists of attempts differ from what was decided, one after the other."""
        for payment in payments:
            keys, limit = http.keys_of(payment), next(self._limits_of_attempts)
            if keys and (wrong := await wrong_attempts(http, payment, keys, limit)) is not None:
                return wrong
        return None

    async def expiry(
        self, set_clock: Callable[[int], Awaitable[object]], hold: Hold, within_s: float
    ) -> str | None:
        """What keeps a due payment from expiring by itself, and being counted; ``None`` if nothing does.

        Args:
            set_clock: sets the database's clock, in µs.
            hold: holds a payment's lock from outside the service.
            within_s: how long that may take, in seconds.
        """
        http = next(self._processes)
        try:
            wrong = await not_expired(http, set_clock, hold, within_s)
            wrong = wrong or await miscounted(self._witnesses, set_clock, within_s)
        except UnreadableAnswerError as error:
            return f"I8, I9: {error}"
        return wrong or next(filter(None, [await stopped(each) for each in self._witnesses]), None)

    async def race(self) -> str | None:
        """What goes wrong in lists while others write; ``None`` if nothing does."""
        try:
            return await wrong_while_others_write(self._witnesses)
        except UnreadableAnswerError as error:
            return f"I8: {error}"
