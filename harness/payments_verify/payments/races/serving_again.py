"""A service that answers nothing after a fault: how long its clients wait, and what is wrong after that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any

import httpx

from payments_verify.payments.races.judge import Violation
from pgweave.drive.domain import BrokenServiceError

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
    """Waits for a service that is away: for all its requests together no longer than the limit."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    async def before_next(self, last: Mapping[str, Any]) -> None:
        """Wait a little before the next request.

        Args:
            last: what the last one got.

        Raises:
            BrokenServiceError: the service has been away too long.
        """
        self._deadline = self._deadline or monotonic() + LIMIT_S
        if monotonic() > self._deadline:
            raise not_serving_again(last)
        await asyncio.sleep(PROBE_APART_S)


def not_serving_again(last: Mapping[str, Any]) -> BrokenServiceError[Violation]:
    """What is wrong with a service that has been away too long; ``last`` is what a request got last."""
    return BrokenServiceError(
        Violation(
            "I9",
            f"I9: it does not serve again after the fault: for {LIMIT_S:g} s no request got a"
            f" definite answer; the last: {dict(last) or 'none'}",
        )
    )
