"""Run a transaction again that the store took back because of others that ran beside it."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from payments_core.application.ports import PaymentStore

_WAITS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.16)
"""The longest waits before the second try and each after it; the last error is the caller's."""


class _UseCase(Protocol):
    @property
    def store(self) -> PaymentStore: ...


_Self = TypeVar("_Self", bound=_UseCase)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Call = Callable[Concatenate[_Self, _Arguments], Coroutine[Any, Any, _Result]]


def again_after_conflict(call: _Call[_Self, _Arguments, _Result]) -> _Call[_Self, _Arguments, _Result]:
    """A use case that is one transaction, from its first read, up to eight times.

    Only a transaction of which the store knows that it stored nothing is run again; where a commit's answer
    was lost, nobody knows that. The waits between are drawn at random, so that those who met do not meet
    again in step.
    """

    @wraps(call)
    async def repeated(self: _Self, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        for wait in _WAITS_S:
            try:
                return await call(self, *args, **kwargs)
            except Exception as error:
                if _is_given_up() or not self.store.is_conflict(error):
                    raise
            await asyncio.sleep(random.uniform(0, wait))  # noqa: S311 - no secret
        return await call(self, *args, **kwargs)

    return repeated


def _is_given_up() -> bool:
    """Whether the caller has cancelled, and the conflict came in the place of the cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
