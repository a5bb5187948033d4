"""Captures by the whole application over PostgreSQL: as it is, and with a library in a piece's place."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from psycopg.types.string import BytesBinaryDumper
from psycopg.waiting import wait_async
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Scope

from lab.bench.service.database import AMOUNT_CENTS, FIRST_ID, IDS, SPREAD
from payments_core.entrypoints import metrics, wiring
from payments_core.entrypoints.http import app, observed
from payments_core.entrypoints.logs import configure_logs
from payments_core.entrypoints.settings import Settings
from payments_core.infrastructure.postgres import store
from payments_core.infrastructure.postgres.connection import Connection, Row
from payments_core.infrastructure.postgres.pool import Pool

CLIENTS = 10
WARM_UP = 100
_BODY = b'{"amount_cents":%d}' % AMOUNT_CENTS
_OBJECTS_BETWEEN_COLLECTIONS = gc.get_threshold()[0]


class OwnPiece(NamedTuple):
    """A piece of our own, where a library has one.

    Attributes:
        name: of the piece.
        files: that it stands in, below `payments_core`.
        library: what stands in its place without it.
        replaced: has the library's own in its place for a block.
    """

    name: str
    files: tuple[str, ...]
    library: str
    replaced: Callable[[], AbstractContextManager[Any]]


def pieces() -> Iterator[OwnPiece]:
    """Each of them."""
    postgres = "infrastructure/postgres"
    yield OwnPiece("batches", (f"{postgres}/batch.py",), "psycopg's pipeline and cursors", _cursors)
    yield OwnPiece(
        "the socket stays watched",
        (f"{postgres}/connection.py",),
        "psycopg's wait",
        lambda: _patch(Connection, converse=_waited),
    )
    yield OwnPiece(
        "connections at hand", (f"{postgres}/pool.py",), "psycopg_pool's way in and out", _through_the_pool
    )
    yield OwnPiece("metrics and log in bulk", ("entrypoints/bulk.py",), "at once", _at_once)
    yield OwnPiece(
        "no outer middleware for errors",
        ("entrypoints/http/app.py",),
        "Starlette's stack",
        lambda: _patch(app.Application, build_middleware_stack=Starlette.build_middleware_stack),
    )
    yield OwnPiece(
        "few collections of garbage", ("entrypoints/wiring.py",), "Python's threshold", _often_collected
    )


async def microseconds(dsn: str, first: int, count: int) -> float:
    """Processor time of this process for one of so many captures, in µs.

    Args:
        dsn: of a database with authorized payments by number, `WARM_UP` more than ``count``.
        first: the first.
        count: how many are measured.
    """
    made = wiring.postgres_app(Settings(database_url=dsn, pool_max=CLIENTS, pool_min=CLIENTS))
    numbers = iter(range(first, first + WARM_UP + count))
    async with Lifespan(made):
        await _capture(made, numbers, WARM_UP)
        gc.collect()
        began = time.process_time()
        await _capture(made, numbers, count)
        await asyncio.sleep(0.02)  # until what was put off has been done
        return (time.process_time() - began) / count * 1e6


@contextmanager
def quiet() -> Iterator[None]:
    """Logs go nowhere, and garbage is collected as in the service."""
    with Path(os.devnull).open("w") as nowhere, mock.patch.object(sys, "stderr", nowhere):
        configure_logs("info")
        gc.freeze()
        gc.set_threshold(wiring.OBJECTS_BETWEEN_COLLECTIONS)
        try:
            yield
        finally:
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            gc.unfreeze()


async def _capture(made: ASGIApp, numbers: Iterator[int], count: int) -> None:
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            assert await _asked(made, next(numbers)) == 201

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def _asked(made: ASGIApp, number: int) -> int:
    payment = str(FIRST_ID + number * SPREAD % IDS).ljust(32, "0")
    path = (
        f"/payments/{payment[:8]}-{payment[8:12]}-{payment[12:16]}-{payment[16:20]}-{payment[20:]}/captures"
    )
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await made(_scope(path), receive, send)
    return statuses[0]


def _scope(path: str) -> Scope:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"content-type", b"application/json"),
            (b"idempotency-key", b"capture"),
            (b"content-length", b"%d" % len(_BODY)),
        ],
        "state": {},
    }


class Lifespan:
    """The application's process, from its beginning to its end; the block gets the process's state."""

    def __init__(self, made: ASGIApp) -> None:
        self._made = made
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}
        self._task = asyncio.ensure_future(self._made(scope, self._asked.get, self._told.put))
        await self._tell("startup")
        return state

    async def __aexit__(self, *_error: object) -> None:
        await self._tell("shutdown")
        await self._task

    async def _tell(self, event: str) -> None:
        await self._asked.put({"type": f"lifespan.{event}"})
        told = await self._told.get()
        assert told["type"] == f"lifespan.{event}.complete", told


# ---- what stands in the place of each ---------------------------------------------------------------------


@contextmanager
def _patch(target: object, **replaced: object) -> Iterator[None]:
    with ExitStack() as stack:
        for name, by in replaced.items():
            stack.enter_context(mock.patch.object(target, name, by, create=True))
        yield


async def _waited(self: Connection, generator: Any) -> Any:
    return await wait_async(generator, self.pgconn.socket)


class _Untyped(BytesBinaryDumper):
    oid = 0  # the parameters are binary already, of types that the server knows from the statement


class _CursorReply:
    def __init__(self, connection: Connection) -> None:
        self.cursor = connection.cursor(binary=True)
        self.cursor.adapters.register_dumper(bytes, _Untyped)
        self._rows: list[Row] = []

    async def fetch(self) -> None:
        if self.cursor.description is not None:
            self._rows = await self.cursor.fetchall()

    def rows(self) -> list[Row]:
        return self._rows

    def row(self) -> Row | None:
        return self._rows[0] if self._rows else None

    def value(self) -> Any:
        return self._rows[0][0]

    @property
    def count(self) -> int:
        return self.cursor.rowcount

    @property
    def tag(self) -> str:
        return self.cursor.statusmessage or ""


class _CursorBatch:
    """A batch by psycopg's pipeline, whose statements it prepares at once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements: list[tuple[str, Row, _CursorReply]] = []

    def add(self, query: str, parameters: Row = ()) -> _CursorReply:
        reply = _CursorReply(self._connection)
        self._statements.append((query, parameters, reply))
        return reply

    async def send(self) -> None:
        self._connection.prepare_threshold = 0
        async with self._connection.pipeline():
            for query, parameters, reply in self._statements:
                await reply.cursor.execute(query.encode(), parameters or None)
        for _, _, reply in self._statements:
            await reply.fetch()


def _cursors() -> AbstractContextManager[None]:
    return _patch(store, Batch=_CursorBatch)


def _through_the_pool() -> AbstractContextManager[None]:
    somebody_waits = property(lambda _pool: 1, lambda _pool, _count: None)
    return _patch(Pool, _waiting_for_one=somebody_waits)


class _AtOnce:
    def __init__(self, handle: Callable[[list[Any]], object], _at_most: int) -> None:
        self._handle = handle

    def __len__(self) -> int:
        return 0

    def add(self, item: Any) -> None:
        self._handle([item])

    def flush(self) -> None: ...


@contextmanager
def _at_once() -> Iterator[None]:
    with _patch(metrics, Bulk=_AtOnce), _patch(observed, Bulk=_AtOnce):
        yield


@contextmanager
def _often_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
