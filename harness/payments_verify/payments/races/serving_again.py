"""A service that answers nothing after a fault: how long its clients wait, and what is wrong after that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, TypeAlias

import httpx

from payments_verify.patience import patient
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.service.under_test import NO_ANSWER
from pgweave.drive.domain import BrokenServiceError
from pgweave.service.end import End

EndOf: TypeAlias = Callable[[], Coroutine[Any, Any, End | None]]

LOST = frozenset(
    name
    for name, each in vars(httpx).items()
    if isinstance(each, type) and issubclass(each, httpx.TransportError)
)
"""The errors of observations of requests that got no answer at all."""

NOBODY_LISTENS = httpx.ConnectError.__name__
"""The one of these where the service's address took no connection: it did not get the request."""

LIMIT_S = 30.0
"""How long after a fault a service may answer nothing."""

PROBE_APART_S = 0.2
"""How long after a request without an answer the next one is sent."""


class WaitForService:
    """Waits for a service that is away: for all its requests together no longer than the limit.

    Args:
        end: how its process has ended, if it has: then nobody will serve.
    """

    def __init__(self, end: EndOf) -> None:
        self._end = end
        self._deadline: float | None = None

    async def before_next(self, last: Mapping[str, Any]) -> None:
        """Wait a little before the next request.

        Args:
            last: what the last one got.

        Raises:
            BrokenServiceError: the service has been away too long.
        """
        self._deadline = self._deadline or monotonic() + patient(LIMIT_S)
        end = await self._end() if last.get("error") == NOBODY_LISTENS else None
        if end is not None or monotonic() > self._deadline:
            raise _not_serving_again(last, end)
        await asyncio.sleep(PROBE_APART_S)


def _not_serving_again(last: Mapping[str, Any], end: End | None) -> BrokenServiceError[Violation]:
    """What is wrong with a service that is away for good, or too long; ``last`` is what was heard last."""
    why = f"for {LIMIT_S:g} s no request got a" if end is None else f"{end}, and no request got a"
    told = f"I9: it does not serve again after the fault: {why} {NO_ANSWER}; the last: {dict(last) or 'none'}"
    return BrokenServiceError(Violation("I9", told))
