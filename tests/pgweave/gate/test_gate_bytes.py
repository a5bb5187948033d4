"""Whatever bytes arrive, the gate says what is wrong or passes them on; it neither hangs nor breaks."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pgweave.gate import Gate, wire
from tests.pgweave.gate.observing import Watcher
from tests.support.postgres import Database

STARTUP = struct.pack("!ii", 8 + 10, 196608) + b"user\x00none\x00"
LETTERS = st.sampled_from(b"QPBDECSHFXdcfp\x00\xff")


def message(kind: int, body: bytes, length: int | None = None) -> bytes:
    claimed = len(body) + 4 if length is None else length
    return bytes([kind]) + struct.pack("!I", claimed & 0xFFFFFFFF) + body


MESSAGES = st.builds(
    message, LETTERS, st.binary(max_size=60), st.none() | st.integers(0, 80) | st.just(0xFFFFFFFF)
)


def talk(dsn: str, pieces: list[bytes]) -> tuple[bytes, list[dict[str, Any]]]:
    """Send pieces through a gate, close, and give what came back and what the event loop complained of."""
    complaints: list[dict[str, Any]] = []

    async def run() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        async with asyncio.timeout(20), Gate.open(dsn) as gate:
            gate.observer = Watcher()
            port = int(gate.tcp_dsn.rpartition("/")[0].rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                writer.write_eof()
                answer = await reader.read()
            except ConnectionError:
                answer = b""
            writer.close()
            return answer

    return asyncio.run(run()), complaints


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
@example(first=b"GET / HTTP/1.1\r\n\r\n", rest=[])
@example(first=struct.pack("!ii", 8, wire.SSL_REQUEST), rest=[STARTUP])
@example(first=STARTUP, rest=[message(ord("B"), b"\x00\x00\x00\x05")])
@example(first=STARTUP, rest=[message(ord("P"), b"no end of string")])
@given(
    first=st.just(STARTUP) | st.just(b"") | st.binary(max_size=40),
    rest=st.lists(MESSAGES | st.binary(max_size=40), max_size=6),
)
def test_any_bytes_end_the_conversation(shared_database: Database, first: bytes, rest: list[bytes]) -> None:
    _, complaints = talk(shared_database.dsn, [first, *rest])
    assert complaints == []


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"GET / HTTP/1.1\r\n\r\n"], "is this PostgreSQL's protocol?"),
        ([struct.pack("!ii", 3, 196608)], "claims 3 bytes"),
        ([STARTUP, message(ord("p"), b"", length=2)], "claims 2 bytes"),
        ([STARTUP, message(ord("Q"), b"", length=0xFFFFFFFF)], "claims 4294967295 bytes"),
    ],
)
def test_what_is_not_understood_is_said(shared_database: Database, pieces: list[bytes], said: str) -> None:
    answer, complaints = talk(shared_database.dsn, pieces)
    assert said in answer.decode(errors="replace")
    assert b"08P01" in answer
    assert complaints == []


@given(st.binary(max_size=200), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_messages_do_not_depend_on_how_they_are_cut(data: bytes, cuts: list[int]) -> None:
    def frames(pieces: list[bytes]) -> list[tuple[int, bytes]] | str:
        reader, found = wire.Frames(), []
        try:
            for piece in pieces:
                found += reader.feed(piece)[1]
        except wire.WireError as error:
            return str(error)
        return found

    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assert frames([*pieces, rest]) == frames([data])


@given(st.lists(st.tuples(st.sampled_from(b"CDZT"), st.binary(max_size=9)), max_size=6), st.integers(0, 60))
def test_only_messages_that_are_wanted_are_told_apart(messages: list[tuple[int, bytes]], cut: int) -> None:
    whole = [(kind, message(kind, body)) for kind, body in messages]
    data = b"".join(each for _, each in whole)
    reader = wire.Frames()
    (first, some), (rest, others) = reader.feed(data[:cut], b"CZ"), reader.feed(data[cut:], b"CZ")
    assert (first + rest, reader.unfinished) == (data, 0)
    assert [*some, *others] == [each for each in whole if each[0] in b"CZ"]


@given(st.sampled_from(b"PB"), st.binary(max_size=80))
def test_a_message_cut_short_is_an_error_and_never_another(kind: int, body: bytes) -> None:
    read = wire.parse_contents if kind == wire.PARSE else wire.bind_contents
    whole = message(kind, body)
    with contextlib.suppress(wire.WireError):  # any other error fails the test
        found = read(whole)
        assert all(part.encode() in whole for part in found[:2] if "\ufffd" not in part)
