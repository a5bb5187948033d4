"""What was done to a service over HTTP, in order: so that what went wrong can be told as requests."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from payments_verify.payments.observed.observations import Invocation, Observation, UnreadableAnswerError
from pgweave.redaction import is_too_short
from pgweave.service.exchange import HttpExchange

_SCHEME = re.compile(r"[A-Za-z][\w-]*\s+")
_OF_SESSION = re.compile(r"token|secret|session|sid|auth|jwt|key", re.IGNORECASE)
_LONG = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Expected: TypeAlias = Callable[[str, Mapping[str, Any]], str]
"""The HTTP answer of a service, for a command's name and what the model answers; empty if it is not known."""


@dataclass(frozen=True)
class HttpStep:
    """Something that was done to a service: a command over HTTP, or what a note says.

    Attributes:
        who: who did it, for people.
        asked: what it was, in the model's words.
        answer: what was answered, in the model's words.
        exchanges: its requests; none for what is no request.
        expected: the HTTP answer that the model calls for; empty where it is not known.
        is_wrong: whether this is the one.
        payment: the payment that it is of.
        is_unanswered: whether it got no definite answer.
        noted: when it was noted, on a monotonic clock, in seconds: the time of what is no request.
    """

    who: str
    asked: str
    answer: str = ""
    exchanges: tuple[HttpExchange, ...] = ()
    expected: str = ""
    is_wrong: bool = False
    payment: str = ""
    is_unanswered: bool = False
    noted: float = field(default_factory=time.monotonic)

    @property
    def began(self) -> float:
        """When its first request was sent."""
        return self.exchanges[0].began if self.exchanges else self.noted

    @property
    def ended(self) -> float:
        """When its last answer was there; never if there was none."""
        last = self.exchanges[-1].ended if self.exchanges else self.noted
        return float("inf") if last is None else last


def clock_step(now: int, noted: float | None = None) -> HttpStep:
    """The service's clock is set, to an instant in µs."""
    return HttpStep("clock", _set_to(now), noted=time.monotonic() if noted is None else noted)


def _set_to(now: int) -> str:
    return f"set to {_EPOCH + timedelta(microseconds=now):%Y-%m-%dT%H:%M:%S.%fZ}"


def unreadable_step(
    who: str, invocation: Invocation, error: UnreadableAnswerError, expected: str = ""
) -> HttpStep:
    """A command whose answer cannot be read."""
    observed = Observation("unknown", {"status": "an answer that cannot be read"}, error.exchanges)
    return step_of(who, invocation, observed, expected=expected)


def step_of(who: str, invocation: Invocation, observed: Observation | None, **more: Any) -> HttpStep:  # noqa: ANN401
    """A command and what was observed of it, as a step."""
    arguments = [f"{name}={value}" for name, value in invocation.value.items() if name != "payment"]
    seen = {} if observed is None else observed.value
    answer = str(seen.get("outcome", seen.get("status", "no answer")))
    if "payment" in seen:
        answer += f": {seen['payment']['state']}"
    answer += " (replayed)" if seen.get("replayed") else ""
    asked = " ".join([invocation.f, *arguments])
    return HttpStep(
        who,
        f"clock {_set_to(invocation.value['now'])}" if invocation.f == "clock" else asked,
        answer,
        () if observed is None else observed.exchanges,
        payment=str(invocation.value.get("payment", "")),
        is_unanswered=observed is None or observed.kind == "unknown",
        **more,
    )


def credentials_in(headers: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
    """What header fields say of who sends them, whoever has set them, and a name for each."""
    for name, value in headers:
        text, shown = value.decode("utf-8", "backslashreplace"), name.upper().replace("-", "_")
        if name.lower() in {"authorization", "proxy-authorization"}:
            yield _SCHEME.sub("", text, count=1), shown
        elif name.lower() == "cookie":
            for each in text.split(";"):
                cookie, _, of_cookie = each.strip().partition("=")
                # A word, as of a language, would be found in everything.
                if _OF_SESSION.search(cookie) or re.search(r"\d", of_cookie) or len(of_cookie) >= _LONG:
                    yield of_cookie, re.sub(r"\W", "_", f"{cookie}_{name}").upper()


@dataclass(frozen=True)
class HttpRun:
    """What was done to a service, in order; not empty only where it speaks HTTP.

    Attributes:
        steps: the steps.
        secrets: values that are not shown, and the environment's variable that has each.
        signed_by: the function that signed the requests; empty if none did.
    """

    steps: tuple[HttpStep, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    signed_by: str = ""

    @classmethod
    def of(cls, steps: tuple[HttpStep, ...], secrets: Mapping[str, str], signed_by: str) -> HttpRun:
        """What was done, where all that was sent as a credential or a cookie is a secret, too."""
        known = dict(secrets)
        sent = (each for step in steps for each in step.exchanges)
        for value, name in credentials_in(pair for each in sent for pair in each.headers):
            # A binding's own is told by the names of its variables.
            if signed_by or not any(each in value for each in secrets):
                known.setdefault(value, name)
        known = {value: name for value, name in known.items() if not is_too_short(value)}
        return cls(steps, known, signed_by)

    def __bool__(self) -> bool:
        return any(step.exchanges for step in self.steps)


def in_http(expected: Expected, f: str, words: str) -> str:
    """The HTTP answer for what a specification answers in words; the words where there is none."""
    word = words.removesuffix(" (replayed)")
    answer: dict[str, Any] = {"outcome": word}
    if f == "read":
        answer = {"outcome": "read", "payment": {"state": word}}
    elif f == "capture":
        answer["replayed"] = word != words
    return expected(f, answer) or words
