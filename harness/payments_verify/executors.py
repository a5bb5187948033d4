"""Where work is done side by side: executors that a command line names.

    with open_executor("dask://10.0.0.5:8786") as workers:
        workers.executor.submit(work)

``dask://HOST:PORT`` is the scheduler of a Dask cluster, each of whose threads is a worker.
``MODULE:FUNCTION`` is a function without arguments that gives a `concurrent.futures.Executor`: a cluster of
another kind, or Dask with certificates. What is sent to workers is pickled: only those who may run any code
there may reach them.
"""

from __future__ import annotations

import asyncio
import importlib
import platform
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from payments_verify.sources import sources_hash
from pgweave.interleavings.parallel import close_workers

if TYPE_CHECKING:
    from distributed import Client

_DASK = "dask://"
_CONNECT_LIMIT_S = 10


class ExecutorError(ValueError):
    """A name stands for no executor, or for one that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class OpenedExecutor:
    """An executor that can be used until it is closed.

    Attributes:
        executor: the executor. What is submitted is run each time, though it were the same as before.
        workers: how many things it does side by side; ``None`` where it does not say.
    """

    executor: Executor
    workers: int | None


@contextmanager
def open_executor(name: str, *packages: str) -> Iterator[OpenedExecutor]:
    """The executor of a name, until the block ends; then Dask's workers have closed what they opened.

    The workers of a given executor are not asked to: what they have opened, sessions and gates, they close as
    their processes end. Ending them is the business of whoever made the executor.

    Args:
        name: ``dask://HOST:PORT``, or ``MODULE:FUNCTION``.
        packages: what else Dask's workers have to have as it is here.

    Raises:
        ExecutorError: it stands for none, nothing answers there, the workers are none that can be used, or
            what was sent to them is lost.
    """
    if not name.startswith(_DASK):
        yield OpenedExecutor(_given_by(name), None)
        return
    client = _connected(name)
    lost = importlib.import_module("distributed").scheduler.KilledWorker
    try:
        workers = _usable(client, name, packages)
        executor = client.get_executor(pure=False)  # pure, a schedule that is run again would not be run
        try:
            yield OpenedExecutor(executor, workers)
        finally:
            executor.shutdown(wait=False)
            client.run(_close, on_error="return")
    except (lost, CancelledError) as error:
        raise ExecutorError(f"the workers of {name} ended while they worked: {error}") from error
    finally:
        client.close()


def _given_by(name: str) -> Executor:
    module, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)()
    except Exception as error:  # whatever somebody else's function raises
        raise ExecutorError(f"{name!r} gives no executor: {error}") from error
    if not isinstance(made, Executor):
        raise ExecutorError(
            f"{name!r} gives a {type(made).__name__}, which is no concurrent.futures.Executor"
        )
    return made


def _connected(name: str) -> Client:
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError:
        raise ExecutorError(f"{name} needs Dask: install payments-core with its extra 'dask'") from None
    address = f"tcp://{name.removeprefix(_DASK)}"
    try:
        return Client(address, timeout=_CONNECT_LIMIT_S, set_as_default=False)
    except (OSError, ValueError, asyncio.CancelledError) as error:
        found = str(error) or type(error).__name__
    # Raised by itself: that time has ended an attempt is no interrupt.
    raise ExecutorError(
        f"no Dask scheduler answers at {address} ({found}); start one: dask scheduler --host HOST --port PORT"
    )


def _usable(client: Client, name: str, packages: tuple[str, ...]) -> int:
    """How many threads the workers have, all of which can run what this process can.

    Raises:
        ExecutorError: there is no worker, or one of another installation.
    """
    threads: dict[str, int] = client.nthreads()
    if not threads:
        raise ExecutorError(
            f"the scheduler at {name} has no workers;"
            f" start some: dask worker tcp://{name.removeprefix(_DASK)} --nworkers 2 --nthreads 1"
        )
    here = installation(*packages)
    there: dict[str, Any] = client.run(installation, *packages, on_error="return")
    for worker, found in there.items():
        if found != here:
            raise ExecutorError(f"the worker {worker} has {found!r}, and {here!r} is needed, as it is here")
    return sum(threads.values())


def installation(*packages: str) -> str:
    """What a worker has to have in common with who sends it work, of more packages that are named, too."""
    code = f"payments-core {version('payments-core')} ({sources_hash(*packages)})"
    return f"{code} on Python {platform.python_version()}"


async def _close() -> None:
    # A worker's own loop runs in this thread, and the schedules' loops must not.
    await asyncio.to_thread(close_workers)
