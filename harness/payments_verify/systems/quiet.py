"""Services in this process, with less to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from payments_core.entrypoints.logs import configure_logs


@contextmanager
def only_errors_logged() -> Iterator[None]:
    """Log errors alone until the block ends, and then as before: a refusal is no news in a race."""
    before = structlog.get_config()
    configure_logs("error")
    try:
        yield
    finally:
        structlog.configure(**before)
