"""Places in lists: each page's `next` with noise in it, and the instants and numbers that it may name."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote_from_bytes
from uuid import UUID, uuid4

from payments_verify.binding.values import read_rfc3339
from payments_verify.payments.observed.observations import UnreadableAnswerError
from payments_verify.surface.answers import complaints, object_in
from payments_verify.surface.variations import ENDS, varied
from payments_verify.surface.witness import Witness

_MOST_IN_A_PAGE = 200
_LAST_PLACE = 2**31 - 1
_LATEST = 253_402_300_799_999_999
"""The last instant of the year 9999, in µs."""
_MOST_LOOKED_AT = 8
_NO_ID, _LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
_NOISE = (
    *(
        b"=",
        b"==",
        b"+",
        b"/",
        b" ",
        b"\n",
        b"\t",
        b"\x00",
        b"!",
        b".",
        b"~",
        b"%",
        b'"',
        b"\xff",
        b"\xc2\xa0",
    ),
    *("Ａ".encode(), b"A", b"-", b"_"),
)
_IN_PAYMENTS, _IN_ATTEMPTS = re.compile(rb"[A-Za-z0-9_-]{32}"), re.compile(rb"[0-9]{1,10}")
"""What may be a place of either list."""
_FAR = 2**7 - 1
_OK, _REFUSED = 200, 422

Place: TypeAlias = tuple[int, UUID]
"""The payment behind which a page begins: its creation in µs, and its id."""


def written(place: Place) -> str:
    """A place as `next` has it; an instant before 1970 is one, too."""
    created_at, payment = place
    return urlsafe_b64encode(created_at.to_bytes(8, "big", signed=True) + payment.bytes).decode()


async def wrong_places(witness: Witness) -> str | None:
    """What is answered to a place otherwise than it has to be; ``None`` if nothing. It leaves a payment.

    Nobody else may change anything meanwhile.
    """
    try:
        refused = await _refused_twice(witness)
        wrong = await _wrong_with_noise(witness, "/payments", _IN_PAYMENTS)
        wrong = wrong or await _wrong_with_noise(witness, refused, _IN_ATTEMPTS)
        return wrong or await _wrong_between(witness) or await _wrong_behind(witness, refused)
    except UnreadableAnswerError as error:
        return f"I8, I9: {error}"


async def _refused_twice(witness: Witness) -> str:
    """Where the attempts of a payment are that two captures were refused of."""
    path = f"/payments/{uuid4()}"
    await witness.request("PUT", path, headers={}, json={"amount_cents": 500})
    for number in range(2):
        key = {"Idempotency-Key": f"place {number}"}
        await witness.request("POST", f"{path}/captures", headers=key, json={"amount_cents": 500})
    return f"{path}/captures"


async def _wrong_with_noise(witness: Witness, path: str, may_be: re.Pattern[bytes]) -> str | None:
    """A `next` that is not as it was leads nowhere, unless it still is a place."""
    following = (await _found(witness, f"{path}?limit=1"))["next"]
    for each in varied(f"{following}".encode(), _NOISE):
        asked = f"{path}?limit=1&after={quote_from_bytes(each, safe='')}"
        page = await _page(witness, asked)
        if page is not None and not may_be.fullmatch(each):
            return f"I8: GET {asked}: {following} was a place, and this is none: {page}"
    return None


async def _wrong_between(witness: Witness) -> str | None:
    """A page begins behind its place, whether a payment is there or not."""
    path = f"/payments?limit={_MOST_IN_A_PAGE}"
    listed = [_place_of(each) for each in (await _found(witness, path))["payments"]]
    for place in _beside(listed):
        asked = f"{path}&after={written(place)}"
        page = await _page(witness, asked)
        if (page is not None) is not (0 <= place[0] <= _LATEST):
            return f"I8: GET {asked}: whether there may be a payment of {place[0]} µs is answered with {page}"
        if page is None:
            continue
        found = [_place_of(each) for each in page["payments"]]
        expected = [each for each in listed if each > place]
        if found[: len(expected)] != expected or (len(listed) < _MOST_IN_A_PAGE and found != expected):
            return f"I8: GET {asked}, behind {place}: expected {expected[:3]} first, got {found[:3]}"
    return None


def _beside(listed: list[Place]) -> Iterator[Place]:
    """Places at the ends of types and of all that an instant may be, at payments, and beside them."""
    for instant in (*ENDS, 0, -1, -(2**63), _LATEST - 1, _LATEST, _LATEST + 1):
        if -(2**63) <= instant < 2**63:
            yield from ((instant, _NO_ID), (instant, _LAST_ID))
    for created_at, payment in listed[:: max(1, len(listed) // _MOST_LOOKED_AT)]:
        yield from ((created_at - 1, _LAST_ID), (created_at, _NO_ID), (created_at, payment))
        yield from ((created_at, _LAST_ID), (created_at + 1, _NO_ID))
        yield from ((created_at, UUID(int=payment.int + by)) for by in (-1, 1))


async def _wrong_behind(witness: Witness, attempts: str) -> str | None:
    """Behind the last attempt there is nothing, however far behind."""
    for place in (*(each for each in ENDS if _FAR <= each < _LAST_PLACE), _LAST_PLACE):
        page = await _page(witness, f"{attempts}?after={place}")
        if page is None or page["captures"] or page["next"] is not None:
            return f"I3, I8: GET {attempts}?after={place}: two captures were refused, and the page is {page}"
    return None


def _place_of(payment: Mapping[str, Any]) -> Place:
    return read_rfc3339(payment["created_at"]), UUID(payment["id"])


async def _found(witness: Witness, path: str) -> dict[str, Any]:
    """A page that is not refused.

    Raises:
        UnreadableAnswerError: it is, or cannot be read.
    """
    page = await _page(witness, path)
    if page is None:
        raise UnreadableAnswerError(f"GET {path} is refused, {_REFUSED}")
    return page


async def _page(witness: Witness, path: str) -> dict[str, Any] | None:
    """A page; ``None`` if its place is refused.

    Raises:
        UnreadableAnswerError: there is another answer.
    """
    answer = await witness.write("GET", path)
    wrong = f"{answer.status_code} {answer.text[:200]}"
    if answer.status_code in (_OK, _REFUSED):
        wrong = "; ".join(complaints("GET", path, answer))
    if wrong:
        raise UnreadableAnswerError(f"GET {path}: {wrong}")
    return object_in(answer.content) if answer.status_code == _OK else None
