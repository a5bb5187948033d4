"""Binds addresses, and serves the application there by uvicorn, in one process or several."""

import errno
import resource
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context

import typer
import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from payments_core.entrypoints.http.connections import Connections
from payments_core.entrypoints.http.protocol import BoundedProtocol
from payments_core.entrypoints.metrics import shared_between_processes
from payments_core.entrypoints.settings import Settings

FACTORY = "payments_core.entrypoints.wiring:app_from_environment"
_IDLE_LIMIT_S = 5
_SHUTDOWN_LIMIT_S = 10
_SILENT_WORKER_LIMIT_S = 15
"""One that still imports is silent, too; and for as long, signals wait."""
_LOOK_S = 0.1
_UNSENT_BYTES = 64 * 1024
_BACKLOG = 4096  # what Linux allows, unless it is told otherwise
_SILENT_LIMIT_S = 10
_OTHER_FILES = 48
_FEWEST_CONNECTIONS = 16
_NOT_OF_THIS_MACHINE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class ServingError(RuntimeError):
    """It cannot serve; the message says why, and what to do."""


@contextmanager
def bound(host: str, port: int) -> Iterator[list[socket.socket]]:
    """Bind every address that a host's name stands for, for the block. Nobody can connect before `serve`.

    Addresses that this machine does not have are left out, as are those of IPv6 where there is none, if
    others can be bound. An empty name stands for every address.

    Args:
        host: a name or an address.
        port: the same for all of them; 0 takes one that is free.

    Raises:
        ServingError: the name stands for no address, or one of them cannot be bound.
    """
    listeners: list[socket.socket] = []
    with ExitStack() as stack:
        try:
            for family, address in (addresses := _addresses(host)):
                chosen = listeners[0].getsockname()[1] if listeners else port
                made = _bound(family, address, chosen, is_alone=len(addresses) == 1)
                listeners += map(stack.enter_context, made)
        except (OSError, UnicodeError) as error:
            raise _cannot_listen(host, port, error) from None
        if not listeners:
            raise _cannot_listen(host, port, OSError(errno.EADDRNOTAVAIL, "this machine has no such address"))
        yield listeners


def serve(
    listeners: Sequence[socket.socket], workers: int, settings: Settings, factory: str | None = None
) -> None:
    """Serve an application of the environment until a signal ends it; tell where, once it is served.

    Args:
        listeners: where it is served.
        workers: the processes that serve it.
        settings: of the service.
        factory: what makes the application in each of them; `FACTORY` if not given.

    Raises:
        ServingError: somebody else listens there by now, too few files may be open, or the application does
            not start.
    """
    try:
        _run(server_config(listeners, workers, settings, factory or FACTORY), list(listeners))
    except SystemExit as ended:
        if ended.code == STARTUP_FAILURE:
            raise ServingError("the server could not start; the log above says why") from None
        raise


def server_config(
    listeners: Sequence[socket.socket], workers: int, settings: Settings, factory: str | Callable[[], ASGIApp]
) -> uvicorn.Config:
    """Listen, and say how uvicorn is to serve there; the arguments and errors are those of `serve`."""
    for each in listeners:
        # The system would take over megabytes for each client that does not read.
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        if sys.platform == "linux":
            # Who has connected and said nothing yet waits there: it takes no room here, and nobody gives way.
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_LIMIT_S)
        try:
            each.listen(_BACKLOG)
        except OSError as error:
            host, port = each.getsockname()[:2]
            raise _cannot_listen(host, port, error) from None
        each.set_inheritable(True)
    return uvicorn.Config(
        factory,
        factory=True,
        workers=workers,
        log_level=settings.log_level,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http=partial(BoundedProtocol, connections=Connections(_connection_limit(settings))),  # type: ignore[arg-type]
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_LIMIT_S,
        timeout_graceful_shutdown=_SHUTDOWN_LIMIT_S,
        timeout_worker_healthcheck=_SILENT_WORKER_LIMIT_S,
        server_header=False,
        proxy_headers=False,  # nobody asks who the client is
        callback_notify=_Announcement([_url(each) for each in listeners]),
    )


class _Announcement:
    """Tells where it is served: once, in whichever process serves first. The server calls it as it runs."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._first = get_context("spawn").Lock()

    async def __call__(self) -> None:
        if self._first.acquire(block=False):
            typer.echo("\n".join(f"serving on {url}" for url in self._urls))


class _Supervisor(Multiprocess):
    """Starts workers, and ends with them: it listens no longer than they do, and hands on each SIGTERM."""

    def keep_subprocess_alive(self) -> None:
        for each in self.processes:  # the worker's own end alone is left: whoever waits hears that it died
            each.child_conn.close()
        super().keep_subprocess_alive()

    def terminate_all(self) -> None:
        for each in self.sockets:  # who connected would wait for an answer until the last worker ends
            each.close()
        super().terminate_all()

    def join_all(self) -> None:
        for each in self.processes:
            while each.process.is_alive():
                each.process.join(_LOOK_S)
                if self.signal_queue:
                    self.signal_queue.clear()
                    super().terminate_all()


def _run(config: uvicorn.Config, listeners: list[socket.socket]) -> None:
    if config.workers == 1:
        uvicorn.Server(config).run(sockets=listeners)
        return
    with shared_between_processes():
        supervisor = _Supervisor(config, listeners)
        supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        raise SystemExit(STARTUP_FAILURE)


def _connection_limit(settings: Settings) -> int:
    """As many connections as are wanted, and as the files that a process may have open leave room for."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # Beside each connection to the database there may be one that cancels what it does.
    left = files - _OTHER_FILES - 2 * settings.pool_max
    if left < _FEWEST_CONNECTIONS:
        needed = files - left + _FEWEST_CONNECTIONS
        raise ServingError(
            f"a process may have {files} files open here, and needs {needed}: ulimit -n {needed}"
        )
    return min(settings.max_connections, left)


def _addresses(host: str) -> list[tuple[int, str]]:
    """Families and addresses of a name, each once, in the order of the resolver."""
    found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bound(family: int, address: str, port: int, *, is_alone: bool) -> list[socket.socket]:
    """A socket that is bound, or none where this machine lacks the address. ``::`` alone has IPv4, too."""
    try:
        made = socket.socket(family)
    except OSError as error:
        if error.errno in _NOT_OF_THIS_MACHINE:
            return []
        raise
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not is_alone:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except OSError as error:
        made.close()
        if error.errno in _NOT_OF_THIS_MACHINE:
            return []
        raise
    return [made]


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> ServingError:
    why = error.strerror if isinstance(error, OSError) else error
    return ServingError(f"cannot listen on {host}:{port}: {why}; choose another --port or --host")


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
