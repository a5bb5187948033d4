"""Services in this process, with less to say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import BytesIO, TextIOWrapper

import structlog
from structlog.types import EventDict, WrappedLogger

from payments_core.entrypoints.logs import configure_logs


class _Once:
    """Lets an event pass that is not like one before it: of the same name, with the same exception."""

    def __init__(self) -> None:
        self._seen: set[tuple[object, object]] = set()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        told = event.get("event"), event.get("exception")
        if told in self._seen:
            raise structlog.DropEvent
        self._seen.add(told)
        return event


@contextmanager
def only_errors_logged() -> Iterator[None]:
    """Log errors alone, each once, until the block ends, and then as before.

    A refusal is no news in a race, nor is the error that a broken service answers in every other schedule.
    """
    with _logged("error"):
        yield


@contextmanager
def nothing_logged() -> Iterator[None]:
    """Log nothing until the block ends, and then as before: whatever goes wrong does so on purpose."""
    with _logged("critical"):
        yield


@contextmanager
def everything_kept() -> Iterator[Callable[[], str]]:
    """Log everything until the block ends, and then as before; what was printed so far, and not shown."""
    written = BytesIO()
    with _logged("debug", once=False), redirect_stderr(TextIOWrapper(written, "utf-8", write_through=True)):
        yield lambda: written.getvalue().decode()


@contextmanager
def _logged(level_name: str, *, once: bool = True) -> Iterator[None]:
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, root_level = root.handlers, root.level
    pool = logging.getLogger("psycopg.pool")
    level = pool.level
    configure_logs(level_name)
    *processors, rendering = structlog.get_config()["processors"]
    structlog.configure(processors=[*processors, *([_Once()] if once else []), rendering])
    pool.setLevel(level_name.upper())  # that it discards what was cut is no news either
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(root_level)
        pool.setLevel(level)
