"""When a command is sent again, after which wait, and what is said at the end; without input or output.

The waits are exponential back-off with full jitter: each is drawn from zero to a bound that doubles
(M. Brooker, "Timeouts, retries, and backoff with jitter", Amazon Builders' Library). A ``Retry-After``
(RFC 9110, section 10.2.3) is waited for in full, and the jitter comes on top, so that those who were refused
together do not return together.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from typing import NoReturn, TypeAlias, TypeVar

import msgspec

from payments_client.documents import Problem
from payments_client.errors import Refused, Unavailable, Unknown
from payments_client.replies import Indefinite, NoReply, Reply, decides, judge
from payments_client.requests import Call

Answer = TypeVar("Answer", bound=msgspec.Struct)

_LARGEST_POWER = 30
_DAY_S = 86_400
_LONGEST_FIELD = 64  # characters of a number or a date


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a command is tried, in seconds.

    Attributes:
        deadline_s: for one command, all attempts and waits together.
        attempt_s: for one attempt; more than the service gives a request (10 s), so that it answers first.
        first_wait_s: the longest wait before the second attempt; it doubles with each.
        longest_wait_s: where the doubling ends.

    Raises:
        ValueError: one of them is not positive, or more than a day.
    """

    deadline_s: float = 30.0
    attempt_s: float = 12.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "attempt_s", "first_wait_s", "longest_wait_s"):
            if not 0 < getattr(self, name) <= _DAY_S:
                raise ValueError(f"{name} is a number of seconds, at most a day, not {getattr(self, name)}")

    def longest_wait(self, attempt: int) -> float:
        """The bound of the wait after an attempt, counted from 0."""
        return float(min(self.longest_wait_s, self.first_wait_s * 2 ** min(attempt, _LARGEST_POWER)))


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request, and wait so many seconds for the whole answer."""

    limit_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so many seconds."""

    seconds: float


Exchange: TypeAlias = Generator[Send | Wait, Reply | NoReply | None, tuple[Answer, Reply]]
"""What is to be done next; is sent the outcome of each `Send`, and returns the answer."""


def exchange(
    call: Call[Answer],
    policy: Policy,
    clock: Callable[[], float],
    draw: Callable[[float, float], float],
    end: float | None = None,
) -> Exchange[Answer]:
    """Send a command until it has a definite answer, or its time is up.

    Args:
        call: the command.
        policy: its limits.
        clock: a clock that is never set, in seconds.
        draw: a number between two, at random.
        end: when its time is up, by the clock; after the policy's deadline if not given.

    Raises:
        Refused: a definite refusal.
        Unknown: the time is up, or the command may not be repeated, and it may have been carried out.
        Unavailable: the time is up, and it was not.
    """
    end = clock() + policy.deadline_s if end is None else end
    if clock() >= end:
        raise Unavailable(call, "nothing was done: the time was up before it was sent", None)
    in_doubt = False
    for attempt in count():
        outcome = yield Send(min(policy.attempt_s, end - clock()))
        assert outcome is not None
        found = judge(call, outcome)
        if isinstance(found, Problem):
            if in_doubt and not decides(found):
                raise Unknown(
                    call, f"an attempt had no answer, and the next was refused: {found.type}", found
                )
            assert isinstance(outcome, Reply)
            raise Refused(call, found, replayed=outcome.is_replay)
        if not isinstance(found, Indefinite):
            assert isinstance(outcome, Reply)
            return found, outcome
        in_doubt |= found.may_be_done and call.has_effect
        asked = retry_after(outcome.headers) if isinstance(outcome, Reply) else 0.0
        wait = asked + draw(0.0, policy.longest_wait(attempt))
        if (in_doubt and not call.is_repeatable) or clock() + wait >= end:
            _give_up(call, found, attempt + 1, in_doubt)
        yield Wait(wait)
    raise AssertionError


def _give_up(call: Call[Answer], last: Indefinite, attempts: int, in_doubt: bool) -> NoReturn:
    tried = f"{attempts} attempt{'s' if attempts > 1 else ''}, the last of which got {last.reason}"
    if in_doubt:
        raise Unknown(call, f"it may have been carried out: {tried}", last.problem)
    raise Unavailable(call, f"nothing was done: {tried}", last.problem)


def retry_after(headers: Mapping[str, str]) -> float:
    """The wait that an answer asks for, in seconds; 0 if it asks for none, or not in a way to rely on.

    A date is compared with the answer's own ``Date``: the clocks of two machines are not.
    """
    text = headers.get("retry-after", "").strip()[:_LONGEST_FIELD]
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("date", "")[:_LONGEST_FIELD])
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):  # no date, or one of the two without a zone
        return 0.0
