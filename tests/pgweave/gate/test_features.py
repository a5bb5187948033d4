"""What clients use of the protocol is seen in their messages, whatever driver has sent them."""

from __future__ import annotations

import struct

import pytest

from pgweave.gate import Feature, wire
from pgweave.gate.features import Features


def query(sql: str) -> bytes:
    return wire.message(b"Q", sql.encode() + b"\x00")


def parse(sql: str, name: str = "") -> bytes:
    return wire.message(b"P", name.encode() + b"\x00" + sql.encode() + b"\x00" + struct.pack("!H", 0))


def bind(value: bytes, value_format: int = 0) -> bytes:
    values = struct.pack("!HHHi", 1, value_format, 1, len(value)) + value
    return wire.message(b"B", b"\x00\x00" + values + struct.pack("!H", 0))


def execute(most_rows: int = 0) -> bytes:
    return wire.message(b"E", b"\x00" + struct.pack("!i", most_rows))


DESCRIBE = wire.message(b"D", b"S\x00")
SYNC = wire.message(b"S", b"")
ONE = (parse("SELECT $1"), bind(b"1"), execute(), SYNC)


@pytest.mark.parametrize(
    ("messages", "met"),
    [
        ([query("SELECT 1")], {Feature.SIMPLE}),
        ([query("SELECT 'a'")], {Feature.SIMPLE, Feature.LITERALS}),
        ([query('SAVEPOINT "s1"')], {Feature.SIMPLE, Feature.SAVEPOINTS}),
        ([*ONE, *ONE], {Feature.EXTENDED}),
        ([parse("SELECT 'a'"), execute(), SYNC], {Feature.EXTENDED}),
        ([parse("release savepoint s1"), execute(), SYNC], {Feature.EXTENDED, Feature.SAVEPOINTS}),
        ([parse("SELECT $1", "s1"), *ONE[1:]], {Feature.EXTENDED, Feature.NAMED}),
        ([ONE[0], DESCRIBE, SYNC, *ONE[1:]], {Feature.EXTENDED, Feature.DESCRIBED_FIRST}),
        ([ONE[0], DESCRIBE, *ONE[1:]], {Feature.EXTENDED}),
        ([*ONE[:3], *ONE], {Feature.EXTENDED, Feature.PIPELINE}),
        ([ONE[0], bind(b"\x00\x01", 1), execute(), SYNC], {Feature.EXTENDED, Feature.BINARY}),
        ([*ONE[:2], execute(50), SYNC], {Feature.EXTENDED, Feature.ROW_LIMIT}),
        ([query("COPY a FROM STDIN"), wire.message(b"d", b"1\n")], {Feature.SIMPLE, Feature.COPY}),
    ],
)
def test_each_feature_is_told_from_the_others(messages: list[bytes], met: set[Feature]) -> None:
    found: set[Feature] = set()
    features = Features(found)
    for data in messages:
        for kind, message in wire.Frames().feed(data)[1]:
            features.note(kind, message)
    assert found == met
