"""The list of payments, page by page, against the payments, also while others create and move them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from payments_verify.binding import Http
from payments_verify.payments.observed.observations import UnreadableAnswerError
from payments_verify.surface.answers import members_of

_ORDER = ("pending", "authorized", "captured", "failed")
_MOST_PAGES = 10_000
_OK = 200

Document = Mapping[str, Any]


async def walk(http: Http, limit: int, after: str | None = None) -> tuple[list[Document], str | None]:
    """The payments from a place on, page by page, and the place where the last page begins."""
    found: list[Document] = []
    for number in range(_MOST_PAGES):
        place = "" if after is None else f"&after={after}"
        page = await _get(http, f"/payments?limit={limit}{place}", "payments", "next")
        found += page["payments"]
        if number and not page["payments"]:
            raise UnreadableAnswerError(f"GET /payments?limit={limit}{place}: the page of a `next` is empty")
        if len(page["payments"]) > limit or (len(page["payments"]) < limit and page["next"] is not None):
            return [*found, *found], after  # a page of another length is told of as a list with doubles
        if page["next"] is None:
            return found, after
        after = page["next"]
    return found, after


def wrong_order(found: Sequence[Document]) -> Iterator[str]:
    """What is wrong with a list by itself: a payment that is there twice, or out of order."""
    twice = [each for each, times in Counter(item["id"] for item in found).items() if times > 1]
    if twice:
        yield f"{len(twice)} payments are in the list twice, as {twice[0]}"
    created = [item["created_at"] for item in found]
    if created != sorted(created):
        yield "the list is not in order of creation"


async def wrong_list(http: Http, found: Sequence[Document], payments: Collection[str]) -> str | None:
    """How a list differs from the payments that have to be in it; ``None`` if it does not."""
    listed = {item["id"]: item for item in found}
    wrong = [*wrong_order(found)]
    for payment in payments:
        alone = await _get(http, f"/payments/{payment}", "as_of")
        del alone["as_of"]
        if payment not in listed:
            wrong.append(f"payment {payment} is not in the list")
        elif listed[payment] != alone:
            wrong.append(f"payment {payment} is {alone}, and in the list {listed[payment]}")
    return f"I8: {'; '.join(wrong)}" if wrong else None


async def wrong_instant(http: Http, payments: Collection[str]) -> str | None:
    """How the instant of a page differs from those of a payment that is read before and after it.

    The clock must not go back meanwhile.
    """
    if not payments:
        return None
    one, page = f"/payments/{next(iter(payments))}", "/payments?limit=1"
    before, listed, after = [str((await _get(http, path, "as_of"))["as_of"]) for path in (one, page, one)]
    if before <= listed <= after:
        return None
    return f"I8: GET {page} is as of {listed}, and GET {one} was as of {before} before it, then of {after}"


async def wrong_attempts(http: Http, payment: str, keys: Sequence[str], limit: int) -> str | None:
    """How a payment's list of attempts differs from its keys in the order of their decisions."""
    listed: list[str] = []
    path = f"/payments/{payment}/captures"
    after = ""
    for _ in range(len(keys) // limit + 2):
        page = await _get(http, f"{path}?limit={limit}{after}", "captures", "next")
        if after and not page["captures"]:
            return f"I3, I8: GET {path}?limit={limit}{after}: the page of a `next` is empty"
        listed += [str(each.get("idempotency_key")) for each in page["captures"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    if listed == list(keys):
        return None
    return f"I3, I6, I8: GET {path}, {limit} a page: decided as {[*keys]}, and listed as {listed}"


async def wrong_while_others_write(processes: Sequence[Http], payments: int = 12) -> str | None:
    """What goes wrong in a list that is walked while others create payments, and move them.

    What was acknowledged before a walk began is in it once, as it was acknowledged or later.

    Args:
        processes: of the service; each creates and walks.
        payments: how many each creates.
    """
    acknowledged: dict[str, str] = {}
    everything, _ = await walk(processes[0], 200)
    limit = max(2, len(everything) // 12)
    writers = [asyncio.ensure_future(_write(http, payments, acknowledged)) for http in processes]

    async def walks(http: Http) -> str | None:
        is_last = False
        while True:
            before = dict(acknowledged)
            found, _ = await walk(http, limit)
            wrong = [*wrong_order(found), *_missed(found, before)]
            if wrong or is_last:
                return f"I8: while others write: {'; '.join(wrong)}" if wrong else None
            is_last = all(writer.done() for writer in writers)

    try:
        told = await asyncio.gather(*map(walks, processes))
    finally:
        await asyncio.gather(*writers)
    return next(filter(None, told), None)


def _missed(found: Sequence[Document], acknowledged: Mapping[str, str]) -> Iterator[str]:
    listed = {item["id"]: item["state"] for item in found}
    for payment, state in acknowledged.items():
        if payment not in listed:
            yield f"payment {payment} was acknowledged, and is not in the list"
        elif _ORDER.index(listed[payment]) < _ORDER.index(state):
            yield f"payment {payment} was acknowledged as {state}, and is {listed[payment]} in the list"


async def _write(http: Http, payments: int, acknowledged: dict[str, str]) -> None:
    """Create payments, every other one authorized and voided: nothing is left for a sweep."""
    for number in range(payments):
        payment = str(uuid4())
        steps: list[tuple[str, str, Document]] = [("PUT", "", {"amount_cents": 7})]
        if number % 2:
            steps += [
                ("POST", "/authorize", {"capture_window_seconds": 60}),
                ("POST", "/fail", {"reason": "voided"}),
            ]
        for method, end, body in steps:
            answer = await http.request(method, f"/payments/{payment}{end}", headers={}, json=body)
            if answer.status_code < 300:
                asked = f"{method} /payments/{payment}{end}"
                acknowledged[payment] = members_of(asked, answer, "state")["state"]


async def _get(http: Http, path: str, *names: str) -> dict[str, Any]:
    answer = await http.request("GET", path, headers={}, json=None)
    if answer.status_code != _OK:
        raise UnreadableAnswerError(f"GET {path}: expected {_OK}, got {answer.status_code} {answer.text}")
    return members_of(f"GET {path}", answer, *names)
