"""Limits in time as they are shipped: other checks make them shorter, and do not show how long they are."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest.mock import patch

from psycopg.conninfo import make_conninfo

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool
from pgweave.gate import Gate

FRESH, ANSWERS = "infrastructure.postgres.readiness.FRESH_S", "infrastructure.postgres.readiness.PATIENCE_S"
AGAIN, PREPARES = "entrypoints.wiring._RECONNECT_S", "entrypoints.wiring._PREPARE_S"
CANCELS = "infrastructure.postgres.connection._PATIENCE_S"
HEAD_START = "infrastructure.postgres.hosts.HEAD_START_S"
_PROMISED: Mapping[str, float] = {
    FRESH: 1.0,
    ANSWERS: 2.0,
    AGAIN: 1.0,
    PREPARES: 5.0,
    CANCELS: 5.0,
    HEAD_START: 0.25,
}
"""How long each is at most, in seconds (specs/operations.md)."""
_NOTICED_S, _CONNECTED_S = 7, 5
"""Within what time a lost peer is noticed, and an attempt to connect given up."""
_CONNECT = "connect_timeout"
_OPTIONS: Mapping[str, int] = {
    "keepalives": socket.SO_KEEPALIVE,
    "keepalives_idle": socket.TCP_KEEPIDLE,
    "keepalives_interval": socket.TCP_KEEPINTVL,
    "keepalives_count": socket.TCP_KEEPCNT,
    "tcp_user_timeout": socket.TCP_USER_TIMEOUT,
}
"""The options of a socket by the parameter of a connection string that makes them."""
_OTHERS: Mapping[str, int] = {
    "keepalives_idle": 41,
    "keepalives_interval": 7,
    "keepalives_count": 5,
    "tcp_user_timeout": 61_000,
    _CONNECT: 17,
}


def shortened(limit: str, seconds: float) -> AbstractContextManager[object]:
    """Have a limit of the service be as long in the block; what is shipped is looked at elsewhere."""
    assert limit in _PROMISED
    return patch(f"payments_core.{limit}", seconds)


async def wrong_shipped_limits(dsn: str) -> str | None:
    """Which limit is longer than promised, or not as `DATABASE_URL` says, if one is.

    Args:
        dsn: a prepared database.
    """
    for limit, promised in _PROMISED.items():
        module, _, name = f"payments_core.{limit}".rpartition(".")
        if (shipped := getattr(import_module(module), name)) > promised:
            return f"I9: {limit} is {shipped:g} s, and {promised:g} s are promised"
    async with Gate.open(dsn) as gate:
        own = await _of_connections(gate.tcp_dsn)
        others = await _of_connections(make_conninfo(gate.tcp_dsn, **_OTHERS))
    probed_s = own["keepalives_idle"] + own["keepalives_interval"] * own["keepalives_count"]
    if not own["keepalives"] or max(probed_s, own["tcp_user_timeout"] / 1000 or 7200) > _NOTICED_S:
        return f"I9: a database that is lost without a word is not noticed within {_NOTICED_S} s: {own}"
    if not 0 < own[_CONNECT] <= _CONNECTED_S:
        return f"I9: an attempt to connect is not given up within {_CONNECTED_S} s: {own}"
    if passed_over := [name for name, value in _OTHERS.items() if others[name] != value]:
        return f"I9: DATABASE_URL has other {', '.join(passed_over)}, and a connection has {others}"
    return None


async def _of_connections(dsn: str) -> Mapping[str, int]:
    """The options of the service's connections, and how long one may take to be made, in seconds."""
    settings = Settings(database_url=dsn, pool_min=1, pool_max=1)
    async with make_pool(settings) as pool, pool.connection() as connection:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as made:
            found = {name: made.getsockopt(_level(name), option) for name, option in _OPTIONS.items()}
        given: Mapping[str, Any] = connection.info.get_parameters()
        return {**found, _CONNECT: int(given.get(_CONNECT) or 0)}


def _level(parameter: str) -> int:
    return socket.SOL_SOCKET if parameter == "keepalives" else socket.IPPROTO_TCP
