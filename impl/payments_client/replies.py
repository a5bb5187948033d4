"""What an answer says to what was asked, and whether it can be believed; without input or output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from payments_client.documents import STATUS_OF_OUTCOME, Problem, UnbelievableError, expect, read
from payments_client.requests import REQUEST_IDS, Call

Answer = TypeVar("Answer", bound=msgspec.Struct)

_TYPES = "/problems/"
_JSON = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_PROBLEM_JSON = re.compile(r'application/problem\+json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
# Refusals that are stored under a key have these. Without its type nobody knows what was refused.
_WITH_DECISIONS = frozenset({409, 422})
# 408 and 429 say that the request was not taken on, but not who says so.
_NOT_YET = frozenset({408, 429})
# These say of themselves that nothing was done.
NOTHING_DONE: Mapping[str, int] = {"overloaded": 503, "payment_busy": 503, "request_timeout": 408}
# The service's own refusals, with the status of each, and the commands that it can answer. All but those of
# `_REFUSED_NOW` are decided by all that was ever sent under the key, earlier attempts included. Others, a 401
# say, are about the one request that they answer.
DECIDED: Mapping[str, tuple[int, frozenset[str]]] = {
    "payment_not_found": (404, frozenset({"authorize", "capture", "fail", "read", "captures"})),
    "payment_id_conflict": (409, frozenset({"create"})),
    "already_authorized": (409, frozenset({"authorize"})),
    "idempotency_key_reused": (422, frozenset({"capture"})),
    "not_authorized": (409, frozenset({"capture", "fail"})),
    "already_captured": (409, frozenset({"authorize", "capture", "fail"})),
    "payment_failed": (409, frozenset({"authorize", "capture", "fail"})),
    "capture_window_expired": (409, frozenset({"capture"})),
    "amount_mismatch": (422, frozenset({"capture"})),
}
# These refuse the request that they answer, and store nothing: an earlier attempt may still be carried out.
_REFUSED_NOW = frozenset({"too_many_refusals", "payment_not_found"})


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
class Indefinite:
    """No definite answer: the command may be sent again.

    Attributes:
        reason: what there was instead.
        may_be_done: whether it may have been carried out.
        problem: what was said.
    """

    reason: str
    may_be_done: bool
    problem: Problem | None = None


def judge(call: Call[Answer], outcome: Reply | NoReply) -> Answer | Problem | Indefinite:
    """What became of an attempt: a success, a definite refusal, or neither.

    A success and a refusal are believed only if they fit the command that was sent.
    """
    if isinstance(outcome, NoReply):
        return Indefinite(outcome.reason, outcome.was_sent)
    try:
        _expect_no_other_calls_answer(call, outcome)
        _expect_a_replay_only_of_a_decision(call, outcome)
        if outcome.status in call.successes:
            return _success(call, outcome)
        problem = _problem(call, outcome)
    except UnbelievableError as error:
        return Indefinite(f"a {outcome.status} that cannot be believed: {error}", may_be_done=True)
    name = _name(problem)
    is_no = 400 <= outcome.status < 500 and (outcome.status not in _NOT_YET or name in _REFUSED_NOW)
    if is_no or decides(problem):
        return problem
    may_be_done = NOTHING_DONE.get(name) != outcome.status
    return Indefinite(f"{outcome.status} {problem.type}", may_be_done, problem)


def decides(problem: Problem) -> bool:
    """Whether a refusal says how all attempts under a key ended, and not only the one that it answers."""
    return _name(problem) in DECIDED.keys() - _REFUSED_NOW


def _success(call: Call[Answer], reply: Reply) -> Answer:
    media_type = reply.headers.get("content-type", "")
    if not _JSON.fullmatch(media_type):
        raise UnbelievableError(f"its content type is {media_type!r}")
    document = read(reply.body, call.answer)
    call.hold(document, reply.status)
    return document


def _expect_no_other_calls_answer(call: Call[Answer], reply: Reply) -> None:
    """A proxy may name requests by ids of its own; an id that a client has made names one call alone."""
    named = reply.headers.get("x-request-id", "")
    if named.startswith(REQUEST_IDS):
        expect("X-Request-ID", named, call.request_id)


def _expect_a_replay_only_of_a_decision(call: Call[Answer], reply: Reply) -> None:
    replayed = reply.headers.get("idempotent-replayed")
    if replayed is not None:
        expect("Idempotent-Replayed", replayed, "true")
        expect("the replay's command", call.command, "capture")
        if reply.status not in STATUS_OF_OUTCOME.values():
            raise UnbelievableError(f"a {reply.status} is stored under no key")


def _problem(call: Call[Answer], reply: Reply) -> Problem:
    """The problem in an answer; one without a type if it has none, as those of proxies."""
    unnamed = Problem(status=reply.status)
    if not _PROBLEM_JSON.fullmatch(reply.headers.get("content-type", "")):
        found = unnamed
    else:
        try:
            found = read(reply.body, Problem)
        except UnbelievableError:
            found = unnamed
    if found.type == unnamed.type and reply.status in _WITH_DECISIONS:
        raise UnbelievableError("it names no type")
    expect("the status in its body", found.status or reply.status, reply.status)
    expect("payment_id", found.payment_id or call.payment_id, call.payment_id)
    name = _name(found)
    if name in DECIDED:
        status, commands = DECIDED[name]
        expect(f"the status of {name}", reply.status, status)
        if call.command not in commands:
            raise UnbelievableError(f"{name} answers no {call.command}")
    if reply.is_replay and name not in STATUS_OF_OUTCOME:
        raise UnbelievableError(f"{found.type} is stored under no key")
    return msgspec.structs.replace(found, status=reply.status)


def _name(problem: Problem) -> str:
    """The name of one of the service's own types, nothing for others: they may end alike."""
    return problem.name if problem.type == f"{_TYPES}{problem.name}" else ""
