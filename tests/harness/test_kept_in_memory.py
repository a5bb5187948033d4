"""Memory that grows with requests is found, by whatever it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from payments_core.entrypoints import addresses
from payments_core.entrypoints.http import sources
from payments_core.entrypoints.tokens import Tokens
from payments_core.infrastructure.postgres import contention
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.whole import kept_in_memory
from payments_verify.systems.whole.kept_in_memory import wrong_memory
from tests.support.postgres import Database

HOSTS: Any = addresses.is_loopback


def remembered(function: Callable[[Any, bytes], object]) -> Callable[[Any, bytes], object]:
    known: dict[bytes, object] = {}

    def look_up(self: Any, token: bytes) -> object:
        if token not in known:
            known[token] = function(self, token)
        return known[token]

    return look_up


@pytest.mark.parametrize(
    ("module", "name", "made", "told"),
    [
        (sources, "is_loopback", cache(HOSTS.__wrapped__), "I9: of 500 requests of other hosts than before"),
        (
            Tokens,
            "scopes_of",
            remembered(Tokens.scopes_of),
            "I9: of 500 requests of other tokens than before",
        ),
        (contention, "WeakValueDictionary", dict, "I9: of 300 requests of other payments, keys and amounts"),
    ],
)
def test_what_grows_with_requests_is_found(
    module: Any,
    name: str,
    made: Callable[..., object],
    told: str,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, name, made)
    kinds = [each for each in vars(kept_in_memory)["_GUARDED"] if each.of in told]
    monkeypatch.setattr(kept_in_memory, "_GUARDED", kinds)
    with nothing_logged():
        wrong = asyncio.run(wrong_memory(database.dsn))
    assert wrong is not None
    assert wrong.startswith(told)


def test_this_service_keeps_nothing(database: Database) -> None:
    with nothing_logged():
        assert asyncio.run(wrong_memory(database.dsn)) is None
