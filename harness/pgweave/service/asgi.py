"""An ASGI application that is served from a thread of this process."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pgweave.service import patience

if TYPE_CHECKING:
    import uvicorn

_LOOK_S = 0.01
_LOGGED = 20
_STOP_LIMIT_S = 15.0


class ApplicationError(RuntimeError):
    """The application did not come to serve; the message has what it logged."""


@asynccontextmanager
async def serving(application: Any) -> AsyncIterator[str]:  # noqa: ANN401 - any ASGI application
    """Serve an application until the block ends, and give its URL once it serves.

    It has an event loop of its own: where it blocks that, it holds up nobody but itself.

    Raises:
        ApplicationError: uvicorn is not installed, or the application refused to start, or hangs.
    """
    try:
        import uvicorn  # noqa: PLC0415 - who has no such application needs none
    except ImportError as error:
        raise ApplicationError(f"an ASGI application is served by uvicorn: install it ({error})") from None
    logged = _Kept()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                loop="asyncio",
                access_log=False,
                timeout_graceful_shutdown=1,
                log_config=_logging_to(logged),
            )
        )
        thread = threading.Thread(target=_run, args=(server, listening, logged), daemon=True)
        thread.start()
        ends = time.monotonic() + patience.START_LIMIT_S
        try:
            while not server.started:
                if not thread.is_alive() or time.monotonic() > ends:
                    limit = f" within {patience.START_LIMIT_S:g} s" if thread.is_alive() else ""
                    raise ApplicationError(
                        f"the application did not start{limit}; it logged:\n" + "\n".join(logged.lines)
                    )
                await asyncio.sleep(_LOOK_S)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.to_thread(thread.join, _STOP_LIMIT_S)  # one that hangs ends with the process


def _run(server: uvicorn.Server, listening: socket.socket, logged: _Kept) -> None:
    try:
        server.run(sockets=[listening])
    except BaseException as error:  # noqa: BLE001 - it is told where the server is awaited
        logged.lines.append(f"{type(error).__name__}: {error}")


class _Kept(logging.Handler):
    """Keeps the last of what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=_LOGGED)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def _logging_to(handler: logging.Handler) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"kept": {"()": lambda: handler}},
        "loggers": {"uvicorn": {"handlers": ["kept"], "level": "ERROR", "propagate": False}},
    }
