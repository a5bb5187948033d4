"""Right values with one thing wrong in them: who reads them too kindly, or too strictly, is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from payments_core.application.dto import AttemptPage, Cursor, PaymentPage
from payments_core.entrypoints.http import parsing
from payments_core.entrypoints.http.problems import ProblemRaised
from payments_verify.surface import Witness
from payments_verify.surface.contract import _first_wrong, _made
from payments_verify.surface.places import wrong_places
from payments_verify.surface.variations import ENDS, variations, varied
from payments_verify.surface.written import PAYMENT, PENDING, UNKNOWN
from payments_verify.systems.application import witnessed
from payments_verify.systems.memory_store import InMemoryPaymentStore

Break = Callable[[pytest.MonkeyPatch], object]


def made() -> Witness:
    return witnessed(InMemoryPaymentStore(lambda: 1_900_000_000_123_456))


def told() -> str | None:
    async def run() -> str | None:
        witness, ids = made(), {name: str(uuid4()) for name in (PAYMENT, PENDING, UNKNOWN)}
        await _made(witness, ids)
        return await _first_wrong(witness, ids, variations())

    return asyncio.run(run())


def told_of_places() -> str | None:
    async def run() -> str | None:
        witness = made()
        for _ in range(3):
            await witness.request("PUT", f"/payments/{uuid4()}", headers={}, json={"amount_cents": 5})
        return await wrong_places(witness)

    return asyncio.run(run())


def test_the_service_as_it_is() -> None:
    assert told() is None
    assert told_of_places() is None


def test_a_value_is_varied_at_each_place() -> None:
    found = list(varied(b"ab", (b"x", b"y")))
    assert b"ab" not in found
    assert len(found) == len(set(found))
    assert {b"", b"a", b"b", b"aab", b"abb", b"xab", b"abx", b"axb", b"xb", b"ay", b"yab", b"aby"} <= {*found}


def test_numbers_end_where_types_do() -> None:
    assert {2**15 - 1, 2**15, 2**16, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64} <= {*ENDS}


def patched(owner: object, name: str, value: object) -> Break:
    return lambda monkeypatch: monkeypatch.setattr(owner, name, value)


def pattern(name: str, text: str, by: str) -> Break:
    """A pattern of the service with another one in the place of a part of it."""
    old = getattr(parsing, name)
    found = old.pattern.encode() if isinstance(old.pattern, str) else old.pattern
    assert text.encode() in found
    new = found.replace(text.encode(), by.encode())
    return patched(
        parsing, name, re.compile(new.decode() if isinstance(old.pattern, str) else new, old.flags)
    )


BROKEN: dict[str, tuple[Break, str]] = {
    "what is wrong first is told": (patched(parsing, "_require_syntax", lambda _: None), "I1, I4, I11: "),
    "keys with parameters": (pattern("_QUOTED_KEY", ')*)"', ')*)"(?:;.*)?'), "I3, I4, I11: POST"),
    "keys with a list": (pattern("_QUOTED_KEY", ')*)"', ')*)"(?:,.*)?'), "I3, I4, I11: POST"),
    "any escape in a key": (pattern("_QUOTED_KEY", '["\\\\]', "."), "I3, I4, I11: POST"),
    "ids without their dashes": (pattern("_UUID", "-(?:", "-?(?:"), "I8, I11: GET"),
    "media types that begin so": (pattern("_TYPE", "json[ \\t]*(", "json[+a-z]*[ \\t]*("), "I11: PUT"),
    "fewer numbers than there are": (patched(parsing, "_LAST_PLACE", 2**15), "I8, I9: GET"),
    "more numbers than there are": (patched(parsing, "_LAST_PLACE", 2**33), "I8, I9: GET"),
    "longer pages": (patched(parsing, "MAX_PAGE", 256), "I8, I9: GET"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_read_otherwise_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    breaks, begins = BROKEN[name]
    breaks(monkeypatch)
    assert re.match(begins, told() or "")


_decode = parsing.decode_cursor


def leniently(text: str) -> Cursor:
    """What is no letter of a place is passed over."""
    return _decode(re.sub("[^A-Za-z0-9_-]", "", text))


def of_any_time(text: str) -> Cursor:
    try:
        return _decode(text)
    except ProblemRaised:
        if not re.fullmatch("[A-Za-z0-9_-]{32}", text):
            raise
        return Cursor(0, uuid4())


class Cut(InMemoryPaymentStore):
    """Numbers of places lose what does not fit."""

    async def attempts(self, payment_id: Any, after: int, limit: int) -> AttemptPage | None:
        return await super().attempts(payment_id, after % 2**16, limit)


class CutInstants(InMemoryPaymentStore):
    """So do their instants."""

    async def page(self, after: Cursor | None, limit: int) -> PaymentPage:
        if after is not None:
            after = Cursor(after.created_at // 1000 * 1000, after.payment_id)
        return await super().page(after, limit)


class Failing(InMemoryPaymentStore):
    """Or there is no answer."""

    async def attempts(self, payment_id: Any, after: int, limit: int) -> AttemptPage | None:
        if after >= 2**15:
            raise OverflowError
        return await super().attempts(payment_id, after, limit)


def over(store: type[InMemoryPaymentStore]) -> Break:
    return lambda monkeypatch: monkeypatch.setitem(globals(), "InMemoryPaymentStore", store)


@pytest.mark.parametrize(
    ("breaks", "begins"),
    [
        (patched(parsing, "decode_cursor", leniently), "I8: GET /payments[?]limit=1&after=.* was a place"),
        (
            patched(parsing, "decode_cursor", of_any_time),
            "I8: GET .* whether there may be a payment of -?[0-9]+",
        ),
        (patched(parsing, "_NO_LETTERS", frozenset("/")), "I8: GET .* was a place, and this is none"),
        (patched(parsing, "place", lambda text: int(re.sub("[^0-9]", "", text) or 0)), "I8: GET .*/captures"),
        (
            over(Cut),
            "I3, I8: GET .*after=6",
        ),
        (
            over(CutInstants),
            "I8: .*behind",
        ),
        (
            over(Failing),
            "I8, I9: .* 500 ",
        ),
    ],
    ids=["leniently", "of any time", "padding", "digits alone", "16 bits", "milliseconds", "a failure"],
)
def test_a_place_that_is_read_otherwise_is_told(
    breaks: Break, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    assert re.match(begins, told_of_places() or "")
