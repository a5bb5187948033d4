"""The isolation level that a client sets for the transactions of its connection, where what it sends says so.

A pool sets it when it connects, long before a run, and the server tells it to nobody else.
"""

from __future__ import annotations

import re

_UNKNOWN = "a level that is not told"
_SETS = re.compile(rb"session\s+characteristics|default_transaction_isolation", re.IGNORECASE)
_SNAPSHOT = re.compile(rb"serializable|(repeatable[\s\\]+read)", re.IGNORECASE)
_OTHER = re.compile(rb"read[\s\\]+(?:un)?committed", re.IGNORECASE)
_CALL = re.compile(rb"set_config", re.IGNORECASE)


def level_after(level: str, data: bytes) -> str:
    """The level after a client has sent this: once it has been one with a snapshot, it may be that again.

    Args:
        level: the level before; empty if it is that of the database.
        data: the first packet of a connection, or messages.
    """
    if level == _UNKNOWN or not _SETS.search(data):
        return level
    if found := _SNAPSHOT.search(data):
        return "repeatable read" if found[1] else "serializable"
    return _UNKNOWN if _CALL.search(data) and not _OTHER.search(data) else level
