"""Services in this process, with less to say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from payments_core.entrypoints.logs import configure_logs


@contextmanager
def only_errors_logged() -> Iterator[None]:
    """Log errors alone until the block ends, and then as before: a refusal is no news in a race."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, root_level = root.handlers, root.level
    pool = logging.getLogger("psycopg.pool")
    level = pool.level
    configure_logs("error")
    pool.setLevel(logging.ERROR)  # that it discards what was cut is no news either
    try:
        yield
    finally:
        structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(root_level)
        pool.setLevel(level)
