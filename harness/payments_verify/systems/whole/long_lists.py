"""Lists that are longer than the longest page, read in pages of each length, as they are stored already.

Many of what is listed is dated later than the clock shows: it was set back since.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import psycopg

from payments_verify.binding import Http
from payments_verify.surface.answers import complaints

LONGEST = 200
"""The longest page."""
_USUAL = 50
_LIMITS = (None, 1, LONGEST - 1, LONGEST)
_LENGTHS = (LONGEST, LONGEST + 1, 2 * LONGEST)
"""A list ends with a full page, or one behind it."""
_MOST_ATTEMPTS = 1_001
_OF_ONE_INSTANT, _TOGETHER = 3, range(120, 120 + LONGEST + 5)
"""Payments that have an instant in common, and those by number of which a whole page has one."""
_STEP = timedelta(hours=1, microseconds=1)
_OK = 200
_ALL = "SELECT payment_id FROM payments ORDER BY created_at, payment_id"
_CLOCK = "SELECT payment_clock()"
_INSERT_PAYMENTS = """
    INSERT INTO payments (payment_id, amount_cents, created_at)
    SELECT id, 500, instant FROM unnest(%s::uuid[], %s::timestamptz[]) AS made (id, instant)
"""
# Each is dated before the one that was decided before it, and most after the present.
_INSERT_ATTEMPTS = """
    WITH stored AS (
        INSERT INTO capture_attempts
            (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)
        SELECT %(payment)s, each::text, 500, 'not_authorized', 409, '{}',
               payment_clock() + %(step)s * (%(count)s - 5 - each)
        FROM generate_series(1, %(count)s) AS each RETURNING *)
    INSERT INTO payment_events
        (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)
    SELECT payment_id, 1 + idempotency_key::int, outcome, decided_at, amount_cents, idempotency_key,
           sha256(body) FROM stored
"""


async def wrong_long_lists(http: Http, owner: psycopg.Connection) -> str | None:
    """How a list that is read page by page differs from what is stored; ``None`` if none does.

    Args:
        http: of the service.
        owner: a session of its database, in which there is no payment yet.
    """
    (now,) = owner.execute(_CLOCK).fetchone() or (datetime.now(UTC),)
    places: list[tuple[datetime, UUID]] = []
    for length in _LENGTHS:
        places = sorted([*places, *_create(owner, now, range(len(places), length))])
        created = [str(payment) for _, payment in places]
        wrong = await _wrong_in_pages(http, "/payments", "payments", "id", created)
        if wrong is not None:
            return wrong
    for payment, length in zip(created, (*_LENGTHS, _MOST_ATTEMPTS), strict=False):
        owner.execute(_INSERT_ATTEMPTS, {"payment": payment, "count": length, "step": _STEP})
        keys = [f"{each}" for each in range(1, length + 1)]
        path = f"/payments/{payment}/captures"
        wrong = await _wrong_in_pages(http, path, "captures", "idempotency_key", keys)
        if wrong is not None:
            return wrong
    return None


def _create(owner: psycopg.Connection, now: datetime, numbers: range) -> Sequence[tuple[datetime, UUID]]:
    """Store payments by number, of which the first are not in the future."""
    made = [(now + _STEP * (_of(each) // _OF_ONE_INSTANT - 1), uuid4()) for each in numbers]
    owner.execute(_INSERT_PAYMENTS, [[payment for _, payment in made], [instant for instant, _ in made]])
    return made


def _of(number: int) -> int:
    return _TOGETHER[0] if number in _TOGETHER else number


async def wrong_beside_kept(http: Http, owner: psycopg.Connection) -> str | None:
    """How the list differs from all payments that are stored, whoever has stored them."""
    stored = [str(each) for (each,) in owner.execute(_ALL)]
    wrong = await _wrong_pages(http, "/payments", "payments", "id", stored, LONGEST)
    return wrong and f"I8: a list of what other versions have stored, too: {wrong}"


async def _wrong_in_pages(
    http: Http, path: str, name: str, known_by: str, expected: Sequence[str]
) -> str | None:
    """How a list differs from what has to be in it, in pages of any length."""
    for limit in _LIMITS:
        if limit != 1 or len(expected) == LONGEST + 1:
            wrong = await _wrong_pages(http, path, name, known_by, expected, limit)
            if wrong is not None:
                return f"I8: a list of {len(expected)}: {wrong}"
    return None


async def _wrong_pages(
    http: Http, path: str, name: str, known_by: str, expected: Sequence[str], limit: int | None
) -> str | None:
    """The same, in pages of one length."""
    length = limit or _USUAL
    following: str | None = None
    for begin in range(0, len(expected), length):
        query = [f"limit={limit}"] * (limit is not None) + [f"after={following}"] * (following is not None)
        asked = f"{path}?{'&'.join(query)}" if query else path
        answer = await http.request("GET", asked, headers={}, json=None)
        if answer.status_code != _OK:
            return f"GET {asked}, behind {begin} of them: {answer.status_code} {answer.text[:200]}"
        page = msgspec.json.decode(answer.content)
        found, wanted = [each[known_by] for each in page[name]], expected[begin : begin + length]
        if found != wanted:
            place = next(
                (n for n, pair in enumerate(zip(found, wanted, strict=False)) if len({*pair}) > 1), -1
            )
            return f"GET {asked}, behind {begin} of them, has {len(found)} in place of {len(wanted)}" + (
                f", and {found[place]} where {wanted[place]} was to come" if place >= 0 else ""
            )
        following = page["next"]
        if (following is None) is not (begin + length >= len(expected)):
            return f"GET {asked}, which ends with number {begin + len(found)}, has next {following!r}"
        if told := "; ".join(complaints("GET", asked, answer)):
            return f"GET {asked}: {told}"
    return None
