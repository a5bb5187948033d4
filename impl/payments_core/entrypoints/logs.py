"""Logs as JSON lines on standard error: ours, and those of the libraries."""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import psycopg
import structlog
from structlog.types import EventDict, WrappedLogger

from payments_core.entrypoints.lines import Lines

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being served."""

_LINES = Lines()

together = _LINES.together
"""Within this context all events are one write."""


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the time."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # an attribute of the base class
        return sys.stderr


def configure_logs(level: str) -> None:
    """Log JSON at ``level`` and above, with a UTC time; also what uvicorn and psycopg have to say."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[stamp, describe_failure, structlog.processors.JSONRenderer(as_json_bytes)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _LINES,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            describe_failure,
            structlog.processors.JSONRenderer(as_json),
        ],
        foreign_pre_chain=[stamp, structlog.stdlib.add_logger_name],
    )
    root = logging.getLogger()
    others = [handler for handler in root.handlers if not isinstance(handler, _StandardError)]
    root.handlers = [*others, _StandardError(formatter)]
    root.setLevel(threshold)
    # It tells of each statement of each migration; which were applied is said by who applies them.
    logging.getLogger("yoyo").setLevel(max(threshold, logging.WARNING))


def stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Say of an event which request it belongs to, its level, and when it was; what it says itself counts."""
    if "request_id" not in event:
        current = request_id.get()
        if current is not None:
            event["request_id"] = current
    event["level"] = method
    seconds = event.get("timestamp")
    now = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    event["timestamp"] = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


def as_json_bytes(event: EventDict, default: Callable[[Any], Any]) -> bytes:
    """An event as JSON in ASCII. The quick encoder leaves other characters as they are, and they are few."""
    try:
        line = msgspec.json.encode(event, enc_hook=default)
    except UnicodeEncodeError:  # half a character, as in the name of a file
        return json.dumps(event, default=default).encode()
    return line if line.isascii() else json.dumps(event, default=default).encode()


def as_json(event: EventDict, default: Callable[[Any], Any]) -> str:
    """The same as text."""
    return as_json_bytes(event, default).decode()


def describe_failure(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put the exception of an event into words that hold no value of a row or a parameter.

    PostgreSQL's DETAIL and CONTEXT quote those, idempotency keys among them; of its errors stay the code and
    the primary message.
    """
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = "".join(_described(error, set()))
    return event


def _described(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _described(before, seen)
        yield "\nThen, because of that or while it was handled:\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}: {_message(error)}\n"


def _message(error: BaseException) -> str:
    if isinstance(error, psycopg.Error) and error.diag.message_primary is not None:
        return f"{error.diag.sqlstate} {error.diag.message_primary}"
    return str(error)
