"""Whether two servers mean the same: the same requests to both, and their answers side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import msgspec

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
_COMPARED = ("content-type", "idempotent-replayed", "location")
_WINDOW = {"capture_window_seconds": 600}
# Of a request that was not understood every framework speaks in words of its own.
_OWN_WORDS = {400, 422}


class Asked(msgspec.Struct, frozen=True):
    """A request of the comparison."""

    method: str
    path: str
    body: bytes = b""
    key: str | None = None


def questions(payment: str, other: str) -> list[Asked]:
    """A life of a payment with everything that can go wrong on its way, and one that is captured too late."""

    def capture(of: str, key: str | None, amount: int = 1000) -> Asked:
        return Asked("POST", f"/payments/{of}/captures", b'{"amount_cents":%d}' % amount, key)

    return [
        capture(payment, "before"),
        Asked("PUT", f"/payments/{payment}", b'{"amount_cents":1000}'),
        Asked("PUT", f"/payments/{payment}", b'{"amount_cents":1000}'),
        Asked("PUT", f"/payments/{payment}", b'{"amount_cents":999}'),
        Asked("GET", f"/payments/{payment}"),
        capture(payment, "too-early"),
        Asked("POST", f"/payments/{payment}/authorize", msgspec.json.encode(_WINDOW)),
        Asked("POST", f"/payments/{payment}/authorize", msgspec.json.encode(_WINDOW)),
        capture(payment, "wrong-amount", 999),
        capture(payment, "wrong-amount", 999),
        capture(payment, "wrong-amount", 1000),
        capture(payment, None),
        capture("no-uuid", "key"),
        Asked("POST", f"/payments/{payment}/captures", b'{"amount_cents":1.5}', "key"),
        Asked("POST", f"/payments/{payment}/captures", b'{"amount_cents":1000,"more":1}', "key"),
        Asked("POST", f"/payments/{payment}/captures", b"{", "key"),
        capture(payment, "right"),
        capture(payment, "right"),
        capture(payment, "right", 999),
        capture(payment, "another"),
        capture(payment, "another"),
        Asked("GET", f"/payments/{payment}"),
        Asked("POST", f"/payments/{payment}/authorize", msgspec.json.encode(_WINDOW)),
        Asked("GET", f"/payments/{other}"),
    ]


def answers(url: str, token: str, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """What a server answers to these requests, one after the other, without what differs each time."""
    found = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        for each in asked:
            headers = {"Content-Type": "application/json"} if each.body else {}
            headers |= {"Idempotency-Key": each.key} if each.key else {}
            answer = client.request(each.method, each.path, content=each.body, headers=headers)
            found.append(timeless(answer.status_code, dict(answer.headers), answer.content))
    return found


def timeless(status: int, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """An answer without its instants, and without the words for a request that was not understood."""
    document = msgspec.json.decode(_INSTANT.sub("(an instant)", body.decode()))
    if status in _OWN_WORDS and "decided_at" not in document:
        document.pop("detail", None)
    return {
        "status": status,
        "headers": {name: headers[name] for name in _COMPARED if name in headers},
        "body": document,
    }


def differences(asked: Sequence[Asked], ours: Sequence[Any], theirs: Sequence[Any]) -> list[str]:
    """Where the answers differ, in words."""
    return [
        f"{each.method} {each.path} {each.body.decode()}, key {each.key}: {one} and {other}"
        for each, one, other in zip(asked, ours, theirs, strict=True)
        if one != other
    ]


def compare(first: tuple[str, str], second: tuple[str, str]) -> list[str]:
    """Ask two servers, each given by its URL and token, the same; where their answers differ."""
    asked = questions(str(uuid4()), str(uuid4()))
    return differences(asked, answers(*first, asked), answers(*second, asked))
