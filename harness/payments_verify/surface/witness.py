"""A witness between clients and a process of the service: it counts answers, and knows the contract."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping
from itertools import count
from time import perf_counter
from typing import Any, Protocol
from uuid import uuid4

from payments_model import RECORDED
from payments_verify.binding import Response, outcomes_by_name
from payments_verify.payments.observed.observations import BrokenContractError
from payments_verify.surface.answers import PER_REQUEST, complaints, fields_of, object_in
from payments_verify.surface.written import Fields

_TEMPLATES = (
    (re.compile(r"/payments"), "/payments"),
    (re.compile(r"/payments/[^/]+"), "/payments/{payment_id}"),
    (re.compile(r"/payments/[^/]+/captures"), "/payments/{payment_id}/captures"),
    (re.compile(r"/payments/[^/]+/authorize"), "/payments/{payment_id}/authorize"),
    (re.compile(r"/payments/[^/]+/fail"), "/payments/{payment_id}/fail"),
)
_RECORDED = frozenset(name for name, outcome in outcomes_by_name().items() if outcome in RECORDED)
_NO_TOKEN, _FAILED, _NOT_NOW = 401, 500, 503
_ID = "X-Request-ID"


class Carrier(Protocol):
    """Carries requests, also those whose fields and body are written already."""

    def request(
        self,
        method: str,
        path: str,
        /,
        *,
        headers: Any,  # noqa: ANN401 - a mapping of texts, or pairs of bytes
        json: Mapping[str, Any] | None = None,
        content: bytes | None = None,
    ) -> Awaitable[Response]:
        """Send a request; ``httpx.TransportError`` if there is no whole answer."""


FirstAnswers = dict[str, dict[str, tuple[int, dict[str, str], bytes]]]
"""The first answer under each key of a payment, by path, then by key: status, header fields, body."""


class Witness:
    """Carries requests to one process, and holds each answer to the contract.

    Args:
        http: carries them on.
        first: the first answers, which all processes repeat.

    Attributes:
        requests: how often each method, route and status was answered.
        decided: captures that were decided, by outcome.
        repeated: captures that were answered with the stored answer, by outcome.
        seconds: how long they took, one after the other.
        is_whole: whether every request was answered: what a lost one has done is not known.
    """

    def __init__(self, http: Carrier, first: FirstAnswers | None = None) -> None:
        self.http = http
        self._first = {} if first is None else first
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.decided: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.is_whole = True
        self.seconds = 0.0
        self._began = perf_counter()
        self._numbers = count()

    @property
    def age_s(self) -> float:
        """For how long it has been there, in seconds."""
        return perf_counter() - self._began

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> Response:
        """Send a request, every other one with an id of its own, and look at its answer.

        Raises:
            BrokenContractError: the answer is not what the contract says, beside its outcome.
        """
        began = perf_counter()
        if next(self._numbers) % 2:
            headers = {_ID: uuid4().hex, **headers}
        try:
            response = await self.http.request(method, path, headers=headers, json=json)
        except BaseException:
            self.is_whole = False
            raise
        self.seconds += perf_counter() - began
        route = route_of(path)
        if route is None:
            return response
        self.requests[method, route, str(response.status_code)] += 1
        if response.status_code > _FAILED and response.status_code != _NOT_NOW:
            return response  # of a proxy: no definite answer
        wrong = [*complaints(method, path, response), *_of_another(headers, response)]
        wrong += self._of_key(path, headers, response)
        if wrong:
            raise BrokenContractError(f"{method} {path}, {response.status_code}: {'; '.join(wrong)}")
        return response

    def keys_of(self, payment: str) -> list[str]:
        """The keys under which captures of a payment were decided, in the order of the first answers."""
        return list(self._first.get(f"/payments/{payment}/captures", ()))

    async def write(
        self,
        method: str,
        path: str,
        fields: Fields = (),
        body: bytes | None = None,
        *,
        token: bytes | None = None,
    ) -> Response:
        """Send a request as it is written, and count its answer.

        Args:
            method: the method.
            path: the path, with its query.
            fields: its header fields, but for those of every request.
            body: its body.
            token: what stands in ``Authorization`` in the place of the token of every request.
        """
        right: Fields = () if token is None else (("Authorization", token),)
        headers = [(name.encode(), value) for name, value in (*fields, *right)]
        began = perf_counter()
        answer = await self.http.request(method, path, headers=headers, content=body)
        self.seconds += perf_counter() - began
        self.count(method, path, answer.status_code)
        return answer

    def count(self, method: str, path: str, status: int) -> None:
        """Count an answer, unless its request did not come to a route that is compared."""
        route = route_of(path)
        if route is not None and status != _NO_TOKEN:  # who has none does not come to the route
            self.requests[method, route, str(status)] += 1

    def _of_key(self, path: str, headers: Mapping[str, str], response: Response) -> Iterator[str]:
        """What is wrong with the answer to a capture as the first under its key, or a repeated one."""
        flag = response.headers.get("idempotent-replayed")
        outcome = decided_by(path, headers, response)
        if outcome is None:
            if flag is not None:
                yield f"Idempotent-Replayed is {flag!r}, of an answer that is stored under no key"
            return
        if flag not in (None, "true"):
            yield f"Idempotent-Replayed is {flag!r}"
        (self.decided if flag is None else self.repeated)[outcome] += 1
        fields = {name: each for name, each in fields_of(response).items() if name not in PER_REQUEST}
        seen = (response.status_code, fields, response.content)
        of_payment = self._first.setdefault(path, {})
        first = of_payment.setdefault(canonical(headers["Idempotency-Key"]), seen)
        # Of another outcome the model says what is wrong, and of which of the two answers.
        if first != seen and _outcome_in(first[2]) == outcome:
            yield f"under this key the first answer was {_shown(first)}, and now it is {_shown(seen)}"


def _of_another(headers: Mapping[str, str], response: Response) -> Iterator[str]:
    """Whether an answer has the id of another request: of several at once each has its own."""
    given, named = headers.get(_ID), response.headers.get(_ID.lower())
    if None not in (given, named) and given != named:
        yield f"{_ID} is {given!r}, and the answer has {named!r}"


def canonical(key: str) -> str:
    """The key that a header's value means: of a quoted string, what is quoted."""
    text = key.strip(" \t")
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def route_of(path: str) -> str | None:
    """The template of a path of payments; ``None`` if it is no such path."""
    base = path.partition("?")[0]
    return next((template for pattern, template in _TEMPLATES if pattern.fullmatch(base)), None)


def decided_by(path: str, headers: Mapping[str, str], response: Response) -> str | None:
    """The outcome of a capture, decided now or before; ``None`` of what is no capture, or was not decided."""
    if not path.endswith("/captures") or "Idempotency-Key" not in headers:
        return None
    outcome = _outcome_in(response.content)
    return outcome if outcome in _RECORDED else None


def _outcome_in(body: bytes) -> str:
    document = object_in(body) or {}
    return str(document.get("outcome") or str(document.get("type")).rpartition("/")[2])


def _shown(answer: tuple[int, Mapping[str, str], bytes]) -> str:
    status, fields, body = answer
    return f"{status} {dict(sorted(fields.items()))} {body.decode(errors='replace')}"
