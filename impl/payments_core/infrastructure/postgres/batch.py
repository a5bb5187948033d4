"""Statements that make one round trip: prepared, sent together, with binary parameters and results.

psycopg's own pipeline makes a system call for each statement, and its cursors cost more than all else that a
capture does here. This one uses the layer below them: libpq's pipeline mode, and psycopg's adaptation.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from psycopg import OperationalError
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat
from psycopg.errors import InvalidSqlStatementName, ReadOnlySqlTransaction, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

from payments_core.infrastructure.postgres.connection import Connection, Row
from payments_core.infrastructure.postgres.statements import BEGIN, COMMIT

# Looked up once: each is asked for many times in a capture.
_BINARY = Format.BINARY
_END_OF_BATCH = ExecStatus.PIPELINE_SYNC
_FAILED, _NOT_RUN = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED
_BROKEN, _NO_PIPELINE = ConnStatus.BAD, PipelineStatus.OFF
_NO_TRANSACTION = TransactionStatus.IDLE
# After these errors the connection is closed: a new session may be able to write, or keep its statements.
_OF_NO_USE = (ReadOnlySqlTransaction, InvalidSqlStatementName)


class Reply:
    """The result of one statement; it can be read once the batch has been sent."""

    __slots__ = ("_connection", "result")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.result: PGresult | None = None

    def rows(self) -> list[Row]:
        """Every row."""
        result, adaptation = self.received(), self._connection.adaptation
        adaptation.set_pgresult(result, format=_BINARY)
        return adaptation.load_rows(0, result.ntuples, tuple)

    def row(self) -> Row | None:
        """The first row, if there is one."""
        result, adaptation = self.received(), self._connection.adaptation
        if result.ntuples == 0:
            return None
        adaptation.set_pgresult(result, format=_BINARY)
        return adaptation.load_row(0, tuple)

    def value(self) -> Any:  # noqa: ANN401 - the column's
        """The first column of the first row."""
        row = self.row()
        assert row is not None, "the statement has a row"
        return row[0]

    @property
    def count(self) -> int:
        """How many rows the statement changed."""
        return self.received().command_tuples or 0

    @property
    def tag(self) -> str:
        """The command tag that PostgreSQL answered, such as ``COMMIT``."""
        return (self.received().command_status or b"").decode()

    def received(self) -> PGresult:
        """The statement's result, as it came."""
        assert self.result is not None, "the batch has not been sent"
        return self.result


class Batch:
    """Statements for one round trip.

    If one fails, those after it are not run. Outside a transaction, all of them are one.

    Args:
        connection: which nobody else uses meanwhile.
    """

    __slots__ = ("_connection", "statements")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements: list[tuple[str, Row, Reply]] = []

    def add(self, query: str, parameters: Row = ()) -> Reply:
        """A statement whose parameters stand for its ``%s``, in order; integers as ``Int2``, ``Int8``."""
        reply = Reply(self._connection)
        self.statements.append((query, parameters, reply))
        return reply

    async def send(self) -> None:
        """Run the statements in order, and return when the last is done.

        Raises:
            psycopg.Error: the first error of a statement; or the connection is lost.
        """
        connection = self._connection
        prepared = connection.prepared
        pgconn, adaptation = connection.pgconn, connection.adaptation
        opening = connection.opening
        if opening is None:
            missing = [query for query, _, _ in self.statements if query not in prepared]
            if missing:
                await self._prepare(sorted(set(missing)))
        elif pgconn.transaction_status == _NO_TRANSACTION:
            self._open(opening)
        pgconn.enter_pipeline_mode()
        try:
            for query, parameters, _ in self.statements:
                values = formats = None
                if parameters:
                    wanted, formats = _formats(len(parameters))
                    values = adaptation.dump_sequence(parameters, wanted)
                if opening is None:
                    pgconn.send_query_prepared(prepared[query], values, formats, _BINARY)
                else:
                    pgconn.send_query_params(number_placeholders(query), values, None, formats, _BINARY)
            pgconn.pipeline_sync()
            results = await connection.converse(_replies(pgconn))
        finally:
            _leave_pipeline_mode(connection)
        _require_success(connection, results)
        for (_, _, reply), result in zip(self.statements, results, strict=True):
            reply.result = result

    def _open(self, opening: str) -> None:
        """Put this statement first in the transaction that the batch begins.

        One that begins none has one of its own: the session that is lent may have any isolation for others.
        """
        if not self.statements[0][0].startswith("BEGIN"):
            begin, commit = ((each, (), Reply(self._connection)) for each in (BEGIN, COMMIT))
            self.statements = [begin, *self.statements, commit]
        self.statements.insert(1, (opening, (), Reply(self._connection)))

    async def _prepare(self, queries: Sequence[str]) -> None:
        """Prepare statements: a round trip of its own, once for each connection.

        A name is never used twice, so that one whose answer was not waited for is in nobody's way.
        """
        connection = self._connection
        assert connection.prepare_threshold is None, "psycopg must not deallocate what is prepared here"
        pgconn = connection.pgconn
        named = {query: next(connection.names) for query in queries}
        pgconn.enter_pipeline_mode()
        try:
            for query, name in named.items():
                pgconn.send_prepare(name, number_placeholders(query))
            pgconn.pipeline_sync()
            results = await connection.converse(_replies(pgconn))
        finally:
            _leave_pipeline_mode(connection)
        _require_success(connection, results)
        connection.prepared |= named


@cache
def _formats(parameters: int) -> tuple[Sequence[PyFormat], Sequence[Format]]:
    """The binary format for each of so many parameters: the driver's names of it, and libpq's."""
    return (PyFormat.BINARY,) * parameters, (_BINARY,) * parameters


@cache
def number_placeholders(query: str) -> bytes:
    """The statement with PostgreSQL's own placeholders."""
    first, *others = query.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))).encode()


async def execute(
    connection: Connection, query: str, parameters: Row = (), first: Sequence[str] = ()
) -> Reply:
    """Run a statement, after those that come ``first`` in its round trip.

    Raises:
        psycopg.Error: see `Batch.send`.
    """
    batch = Batch(connection)
    for each in first:
        batch.add(each)
    reply = batch.add(query, parameters)
    await batch.send()
    return reply


async def row(connection: Connection, query: str, parameters: Row, first: Sequence[str] = ()) -> Row | None:
    """The first row of a statement, if there is one; see `execute`."""
    return (await execute(connection, query, parameters, first)).row()


def _replies(pgconn: PGconn) -> PQGen[list[PGresult]]:
    """Send the statements, and receive their results until the server answers the sync."""
    while pgconn.flush():
        ready = yield Wait.RW
        if ready and ready & Ready.R:
            pgconn.consume_input()
    found: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            if (yield Wait.R):  # or else it was only woken to look
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            raise OperationalError("the connection to the database was lost")
        status = result.status
        if status == _END_OF_BATCH:
            return found
        found.append(result)
        if status == _FAILED and pgconn.status == _BROKEN:
            return found
        pgconn.get_result()  # none: the end of what the statement gave, which is there with it


def _leave_pipeline_mode(connection: Connection) -> None:
    """Leave pipeline mode, or close the connection if the server still owes it answers."""
    pgconn = connection.pgconn
    if pgconn.status == _BROKEN or pgconn.pipeline_status == _NO_PIPELINE:
        return
    try:
        pgconn.exit_pipeline_mode()
    except OperationalError:
        connection.abandon()


def _require_success(connection: Connection, results: Sequence[PGresult]) -> None:
    if results and results[-1].status not in {_FAILED, _NOT_RUN}:  # after one that failed, none is run
        return
    for result in results:
        if result.status == _FAILED:
            error = error_from_result(result, encoding=connection.info.encoding)
            if isinstance(error, _OF_NO_USE):
                connection.abandon()
            raise error
