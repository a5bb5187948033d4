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

from payments_core.client.documents import Problem
from payments_core.client.errors import Refused, Unavailable, Unknown
from payments_core.client.requests import Call

Answer = TypeVar("Answer", bound=msgspec.Struct)

# Refusals that are stored under a key have these. Without its type nobody knows what was refused.
_WITH_DECISIONS = frozenset({409, 422})
_UNNAMED = Problem().type
# 408 and 429 say that the request was not taken on, but not who says so.
_NOT_YET = frozenset({408, 429})
# These say of themselves that nothing was done.
_NOTHING_DONE = frozenset({"overloaded", "payment_busy"})
# These are decided by all that was ever sent under the key, earlier attempts included. Others, a 401 say, are
# about the one request that they answer.
_DECIDED = frozenset(
    {
        "payment_not_found",
        "payment_id_conflict",
        "idempotency_key_reused",
        "not_authorized",
        "already_captured",
        "payment_failed",
        "capture_window_expired",
        "amount_mismatch",
    }
)
_LARGEST_POWER = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a command is tried, in seconds.

    Attributes:
        deadline_s: for one command, all attempts and waits together.
        attempt_s: for one attempt; more than the service gives a request (10 s), so that it answers first.
        first_wait_s: the longest wait before the second attempt; it doubles with each.
        longest_wait_s: where the doubling ends.

    Raises:
        ValueError: one of them is not positive.
    """

    deadline_s: float = 30.0
    attempt_s: float = 12.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("deadline_s", "attempt_s", "first_wait_s", "longest_wait_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is a positive number of seconds, not {getattr(self, name)}")

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


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP response; the names of its header fields are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_replay(self) -> bool:
        """Whether it is the answer to an earlier request under the same key."""
        return self.headers.get("idempotent-replayed") == "true"


@dataclass(frozen=True, slots=True)
class NoReply:
    """No whole response.

    Attributes:
        reason: why.
        was_sent: whether anything of the request may have arrived.
    """

    reason: str
    was_sent: bool = True


@dataclass(frozen=True, slots=True)
class _Indefinite:
    """No definite answer: the command may be sent again.

    Attributes:
        reason: what there was instead.
        may_be_done: whether it may have been carried out.
        retry_after: how long to wait at least, in seconds.
        problem: what was said.
    """

    reason: str
    may_be_done: bool
    retry_after: float = 0.0
    problem: Problem | None = None


Exchange: TypeAlias = Generator[Send | Wait, Reply | NoReply | None, tuple[Answer, Reply]]
"""What is to be done next; is sent the outcome of each `Send`, and returns the answer."""


def exchange(
    call: Call[Answer], policy: Policy, clock: Callable[[], float], draw: Callable[[float, float], float]
) -> Exchange[Answer]:
    """Send a command until it has a definite answer, or its time is up.

    Args:
        call: the command.
        policy: its limits.
        clock: a clock that is never set, in seconds.
        draw: a number between two, at random.

    Raises:
        Refused: a definite refusal.
        Unknown: the time is up, or the command may not be repeated, and it may have been carried out.
        Unavailable: the time is up, and it was not.
    """
    end = clock() + policy.deadline_s
    in_doubt = False
    for attempt in count():
        outcome = yield Send(min(policy.attempt_s, end - clock()))
        assert outcome is not None
        found = _judge(call, outcome)
        if isinstance(found, Problem):
            if in_doubt and found.name not in _DECIDED:
                raise Unknown(
                    call, f"an attempt had no answer, and the next was refused: {found.type}", found
                )
            assert isinstance(outcome, Reply)
            raise Refused(call, found, replayed=outcome.is_replay)
        if not isinstance(found, _Indefinite):
            assert isinstance(outcome, Reply)
            return found, outcome
        in_doubt |= found.may_be_done and call.has_effect
        wait = found.retry_after + draw(0.0, policy.longest_wait(attempt))
        if (in_doubt and not call.is_repeatable) or clock() + wait >= end:
            _give_up(call, found, attempt + 1, in_doubt)
        yield Wait(wait)
    raise AssertionError


def _give_up(call: Call[Answer], last: _Indefinite, attempts: int, in_doubt: bool) -> NoReturn:
    tried = f"{attempts} attempt{'s' if attempts > 1 else ''}, the last of which got {last.reason}"
    if in_doubt:
        raise Unknown(call, f"it may have been carried out: {tried}", last.problem)
    raise Unavailable(call, f"nothing was done: {tried}", last.problem)


def _judge(call: Call[Answer], outcome: Reply | NoReply) -> Answer | Problem | _Indefinite:
    if isinstance(outcome, NoReply):
        return _Indefinite(outcome.reason, outcome.was_sent)
    if outcome.status in call.successes:
        try:
            return msgspec.json.decode(outcome.body, type=call.answer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _Indefinite(f"a {outcome.status} that cannot be read", may_be_done=True)
    problem = _problem(outcome)
    if outcome.status in _WITH_DECISIONS and problem.type == _UNNAMED:
        return _Indefinite(f"a {outcome.status} that cannot be read", may_be_done=True)
    if 400 <= outcome.status < 500 and outcome.status not in _NOT_YET:
        return problem
    return _Indefinite(
        f"{outcome.status} {problem.type}",
        may_be_done=problem.name not in _NOTHING_DONE,
        retry_after=retry_after(outcome.headers),
        problem=problem,
    )


def _problem(reply: Reply) -> Problem:
    """The problem in an answer; one without a type if it has none, as those of proxies."""
    try:
        found = msgspec.json.decode(reply.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = Problem()
    return msgspec.structs.replace(found, status=reply.status)


def retry_after(headers: Mapping[str, str]) -> float:
    """The wait that an answer asks for, in seconds; 0 if it asks for none, or not in a way to rely on.

    A date is compared with the answer's own ``Date``: the clocks of two machines are not.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):  # none that is a date, or one of the two without a zone
        return 0.0
