"""A connection's isolation level is seen in what its client sends."""

from __future__ import annotations

import pytest

from pgweave.gate.levels import level_after

_UNKNOWN = "a level that is not told"


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        ("", b"SELECT 1", ""),
        ("", b"SHOW default_transaction_isolation", ""),
        ("", b"BEGIN ISOLATION LEVEL SERIALIZABLE", ""),  # of one transaction
        ("", b"set session characteristics as transaction isolation level serializable", "serializable"),
        ("", b"SET SESSION  CHARACTERISTICS AS TRANSACTION READ ONLY", ""),
        ("", b"user\0me\0options\0-c default_transaction_isolation=repeatable\\ read\0", "repeatable read"),
        ("", b"user\0me\0default_transaction_isolation\0serializable\0", "serializable"),
        ("serializable", b"SET default_transaction_isolation = 'read committed'", "serializable"),
        ("", b"SET default_transaction_isolation TO 'read committed'", ""),
        ("", b"SELECT set_config('default_transaction_isolation', 'read committed', false)", ""),
        ("", b"SELECT set_config('default_transaction_isolation', $1, false)", _UNKNOWN),
        (_UNKNOWN, b"SET default_transaction_isolation = 'serializable'", _UNKNOWN),
    ],
)
def test_the_level_after_what_is_sent(before: str, sent: bytes, after: str) -> None:
    assert level_after(before, sent) == after
