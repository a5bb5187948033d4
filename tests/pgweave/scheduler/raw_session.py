"""A client that speaks PostgreSQL's protocol message by message, as drivers of other languages do."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from payments_verify.systems import EXPLORING, prepared_database
from pgweave.gate import wire
from tests.support.postgres import chosen_bin_dir

SYNC, FLUSH = wire.message(b"S", b""), wire.FLUSH_MESSAGE
_TOLD = b"12CETZDtTnI3s"
"""The kinds of answers that are written down: notices and reports of settings are not."""


class RawSession:
    """One connection; what the server answers is told as ``C SELECT 1``, ``E ERROR 40001``, ``Z I``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frames = wire.Frames()

    async def ask(self, *messages: bytes, ends: str = "Z") -> list[str]:
        """Send messages, and take answers until one of these kinds comes, or the server has gone."""
        self._writer.write(b"".join(messages))
        told: list[str] = []
        while not told or told[-1][0] not in ends:
            data = await self._reader.read(65_536)
            if not data:
                return [*told, "closed"]
            told += [_told(kind, message) for kind, message in self._frames.feed(data)[1] if kind in _TOLD]
        return told

    async def query(self, text: str) -> list[str]:
        return await self.ask(query(text))

    async def start(self, user: str, database: str) -> list[str]:
        body = struct.pack("!i", 196_608)
        body += b"".join(word.encode() + b"\0" for word in ("user", user, "database", database)) + b"\0"
        return await self.ask(struct.pack("!i", len(body) + 4) + body)


@asynccontextmanager
async def raw_session(dsn: str, user: str | None = None) -> AsyncIterator[tuple[RawSession, list[str]]]:
    """A connection by a Unix socket, and what was answered to its first packet."""
    parts = conninfo_to_dict(dsn)
    path = f"{parts['host']}/.s.PGSQL.{parts['port']}"
    reader, writer = await asyncio.open_unix_connection(path)
    session = RawSession(reader, writer)
    try:
        yield session, await session.start(user or str(parts["user"]), str(parts["dbname"]))
    finally:
        writer.close()


@contextmanager
def trusting_database(schema: str) -> Iterator[str]:
    """A database with these tables besides the service's, into which raw sessions are let."""
    with prepared_database(chosen_bin_dir(), EXPLORING) as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(schema.encode())
            _trust_local_clients(connection)
        yield dsn


def _trust_local_clients(connection: psycopg.Connection) -> None:
    """Let raw sessions in: they do not know how to prove a password."""
    row = connection.execute("SELECT current_setting('hba_file')").fetchone()
    assert row is not None
    copy = sql.SQL("COPY (SELECT 'local all all trust') TO {}").format(row[0])
    connection.execute(copy)
    connection.execute("SELECT pg_reload_conf()")


def query(text: str) -> bytes:
    return wire.message(b"Q", text.encode() + b"\0")


def parse(text: str, name: str = "") -> bytes:
    return wire.message(b"P", f"{name}\0{text}\0".encode() + struct.pack("!H", 0))


def bind(name: str = "", portal: str = "") -> bytes:
    return wire.message(b"B", f"{portal}\0{name}\0".encode() + struct.pack("!HHH", 0, 0, 0))


def describe(name: str = "") -> bytes:
    return wire.message(b"D", f"S{name}\0".encode())


def execute(portal: str = "", rows: int = 0) -> bytes:
    return wire.message(b"E", f"{portal}\0".encode() + struct.pack("!i", rows))


def extended(text: str, name: str = "") -> bytes:
    """Parse, Bind and Execute."""
    return parse(text, name) + bind(name) + execute()


def pipeline(statements: Sequence[str]) -> bytes:
    return b"".join(map(extended, statements)) + SYNC


def _told(kind: int, message: bytes) -> str:
    if kind == wire.ERROR:
        fields = wire.error_fields(message)
        return f"E {fields['V']} {fields['C']}"
    if kind == wire.COMMAND_COMPLETE:
        return f"C {wire.first_string(message)}"
    return f"Z {chr(message[5])}" if kind == wire.READY else chr(kind)
