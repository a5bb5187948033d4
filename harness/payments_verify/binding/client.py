"""A client of a service: its HTTP is what a binding says."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import httpx

from payments_model import Outcome
from payments_verify.binding.answers import AnswerReader
from payments_verify.binding.http import Http, Response
from payments_verify.binding.requests import Names, RequestWriter
from payments_verify.binding.sections import Binding
from payments_verify.binding.set_up import set_up_payment
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    UnreadableAnswerError,
    answered,
)


@dataclass(frozen=True)
class BoundClient:
    """Sends commands as requests, and reads the answers.

    Attributes:
        http: carries its requests.
        binding: the service's interface.
        names: what the service calls things; one for all of its clients.
        dated: whether instants in answers are read.
    """

    http: Http
    binding: Binding
    names: Names = field(default_factory=Names)
    dated: bool = True

    @cached_property
    def requests(self) -> RequestWriter:
        """Writes its requests."""
        return RequestWriter(self.binding, self.names)

    @cached_property
    def answers(self) -> AnswerReader:
        """Reads the answers to them."""
        return AnswerReader(self.binding, self.names, self.dated)

    async def send(self, invocation: Invocation) -> Observation:
        """Send a command once. No answer, or a 5xx, is an unknown outcome.

        Raises:
            UnreadableAnswerError: the answer is none that the binding knows.
            SetUpError: what has to come before it was refused.
        """
        try:
            if invocation.f == "create" and self.binding.setup:
                await set_up_payment(self.http, self.binding, self.names, invocation.value["payment"])
            method, path, headers, body = self.requests.write(invocation)
            response = await self.http.request(method, path, headers=dict(headers), json=body)
            seen = self.answers.read(invocation, response)
            following = self._page_after(seen, invocation, response)
            while following is not None:
                method, path = following
                response = await self.http.request(method, path, headers=dict(headers), json=None)
                page = self.answers.read(invocation, response)
                following = self._page_after(page, invocation, response)
                seen = _with_page(seen, page, is_last=following is None)
        except httpx.TransportError as error:
            return Observation("unknown", {"error": type(error).__name__})
        except httpx.DecodingError as error:
            asked = f"{invocation.f} {dict(invocation.value)}"
            told = f"{asked} got an answer that cannot be read (its Content-Encoding is another: {error})"
            raise UnreadableAnswerError(told) from error
        return seen

    def _page_after(
        self, page: Observation, invocation: Invocation, response: Response
    ) -> tuple[str, str] | None:
        """Method and path of the page of attempts after one; ``None`` if there is none."""
        if invocation.f != "attempts" or page.kind != "ok":
            return None
        return self.requests.write_next_page(invocation, response)


def _with_page(seen: Observation, page: Observation, *, is_last: bool) -> Observation:
    """The attempts of the pages so far and of one more. What is not whole is no answer.

    Raises:
        UnreadableAnswerError: the page shows nothing new, and is no end: there may be none of such pages.
    """
    if page.kind != "ok":
        return page
    known = {each["key"] for each in seen.value["attempts"]}
    is_empty = not page.value["attempts"]
    if (is_empty and not is_last) or any(each["key"] in known for each in page.value["attempts"]):
        raise UnreadableAnswerError(f"a page of attempts after {len(known)} others shows nothing new")
    return answered(Outcome.READ, attempts=[*seen.value["attempts"], *page.value["attempts"]])
