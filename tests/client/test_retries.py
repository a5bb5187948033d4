"""When a command is sent again: every decision of the client, on a clock that is moved by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_client import Policy, Refused, Unavailable, Unknown, requests
from payments_client.documents import CaptureDocument
from payments_client.replies import NoReply, Reply
from payments_client.requests import Call
from payments_client.retries import Send, Wait, exchange, retry_after
from payments_core.entrypoints.http import problems
from payments_core.entrypoints.http.problems import ProblemType

PAYMENT = UUID(int=7)
LOST, NEVER_SENT = NoReply("lost"), NoReply("no connection", was_sent=False)
POLICY = Policy(deadline_s=30, attempt_s=12, first_wait_s=0.1, longest_wait_s=5)


def capture() -> Call[CaptureDocument]:
    return requests.capture(PAYMENT, 500, "key")


JSON, PROBLEM = {"content-type": "application/json"}, {"content-type": "application/problem+json"}


def reply(status: int, body: object = None, **headers: str) -> Reply:
    fields = {k.replace("_", "-"): v for k, v in headers.items()}
    return Reply(status, (JSON if status < 300 else PROBLEM) | fields, json.dumps(body).encode())


def refusal(kind: ProblemType, **headers: str) -> Reply:
    document = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": "so it is"}
    return reply(kind.status, document, **headers)


CAPTURED = reply(
    201,
    {
        "payment_id": str(PAYMENT),
        "outcome": "captured",
        "amount_cents": 500,
        "captured_at": "2026-01-01T12:00:00.000001Z",
    },
)
OVERLOADED = refusal(problems.OVERLOADED, retry_after="1")
UNAVAILABLE = refusal(problems.UNAVAILABLE, retry_after="1")


@dataclass
class Tried:
    """A command that was sent until its end.

    Attributes:
        sent: when each attempt was made, in seconds from the start.
        limits: the limit of each attempt.
        waits: the waits between them.
        result: the answer, or the error.
        took: how long it took altogether.
    """

    result: object = None
    sent: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    took: float = 0.0


def tried(
    call: Call[CaptureDocument],
    outcomes: Sequence[Reply | NoReply],
    *,
    policy: Policy = POLICY,
    jitter: float = 1.0,
    seconds: Sequence[float] = (),
) -> Tried:
    """Send a command whose attempts end like this, the last outcome again and again.

    Args:
        call: the command.
        outcomes: of the attempts.
        policy: how long it is tried.
        jitter: which part of its bound each random wait is.
        seconds: how long each attempt takes, at most its limit; nothing if not given.
    """
    now, done = [1_000.0], Tried()
    steps = exchange(call, policy, lambda: now[0], lambda low, high: low + jitter * (high - low))
    outcome: Reply | NoReply | None = None
    try:
        while True:
            step = steps.send(outcome)
            if isinstance(step, Wait):
                done.waits.append(step.seconds)
                now[0] += step.seconds
                outcome = None
            else:
                assert isinstance(step, Send)
                number = len(done.sent)
                done.sent.append(now[0] - 1_000)
                done.limits.append(step.limit_s)
                now[0] += min(step.limit_s, seconds[number] if number < len(seconds) else 0.0)
                outcome = outcomes[min(number, len(outcomes) - 1)]
    except StopIteration as end:
        done.result = end.value[0]
    except Exception as error:  # noqa: BLE001 - looked at by the test
        done.result = error
    done.took = now[0] - 1_000
    return done


# ---- what ends it -------------------------------------------------------------------------------


def test_a_success_is_asked_for_once() -> None:
    done = tried(capture(), [CAPTURED])
    assert isinstance(done.result, CaptureDocument)
    assert (done.sent, done.waits) == ([0.0], [])


NOT_OF_A_CAPTURE = {"payment_id_conflict", "already_authorized"}
ASKED_AGAIN = {"request_timeout"}
DEFINITE = [
    each
    for each in vars(problems).values()
    if isinstance(each, ProblemType) and each.status < 500 and each.name not in NOT_OF_A_CAPTURE | ASKED_AGAIN
]


@pytest.mark.parametrize("kind", DEFINITE, ids=lambda kind: kind.name)
def test_a_refusal_is_asked_for_once(kind: ProblemType) -> None:
    done = tried(capture(), [refusal(kind)])
    assert isinstance(done.result, Refused)
    assert (done.result.problem.type, done.result.problem.status) == (kind.uri, kind.status)
    assert done.result.problem.name == kind.name
    assert done.sent == [0.0]
    assert "so it is" in str(done.result)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"type": 7}', b"\xff", b"null"])
def test_a_refusal_without_a_problem_is_one_of_no_type(body: bytes) -> None:
    done = tried(capture(), [Reply(403, PROBLEM, body)])
    assert isinstance(done.result, Refused)
    assert (done.result.problem.type, done.result.problem.status) == ("about:blank", 403)


# ---- what does not ------------------------------------------------------------------------------

INDEFINITE: dict[str, Reply | NoReply] = {
    "no connection": NEVER_SENT,
    "no answer": LOST,
    "408": reply(408),
    "408 of the service": refusal(problems.REQUEST_TIMEOUT),
    "429": reply(429),
    "500": refusal(problems.INTERNAL_ERROR),
    "502": reply(502),
    "503 of the service": OVERLOADED,
    "503 of a proxy": reply(503),
    "504": reply(504),
    "a refusal that cannot be read": Reply(409, PROBLEM, b'{"type": "/problems/already_capt'),
    "a success that cannot be read": Reply(201, JSON, b'{"payment_id": "' + str(PAYMENT).encode()),
    "a success of another shape": reply(201, {"outcome": "captured"}),
    "a success that says something else": Reply(201, JSON, CAPTURED.body.replace(b"captured", b"lost", 1)),
    "another success": Reply(200, JSON, CAPTURED.body),
    "a redirection": reply(307, location="http://elsewhere"),
}


NOTHING_DONE = ("no connection", "408 of the service", "503 of the service")
"""Those after which it is certain that nothing was done."""


@pytest.mark.parametrize("name", INDEFINITE)
def test_no_definite_answer_is_asked_for_again(name: str) -> None:
    done = tried(capture(), [INDEFINITE[name], INDEFINITE[name], CAPTURED])
    assert isinstance(done.result, CaptureDocument)
    assert len(done.sent) == 3


@pytest.mark.parametrize("name", INDEFINITE)
def test_at_the_deadline_the_key_is_handed_back(name: str) -> None:
    done = tried(capture(), [INDEFINITE[name]])
    certain = name in NOTHING_DONE
    assert isinstance(done.result, Unavailable if certain else Unknown)
    assert (done.result.key, done.result.payment_id, done.result.command) == ("key", PAYMENT, "capture")
    assert ("nothing was done" if certain else "may have been carried out") in str(done.result)
    assert done.took < POLICY.deadline_s
    assert len(done.sent) > 5


def test_one_attempt_in_doubt_leaves_the_whole_in_doubt() -> None:
    doubtful: list[list[Reply | NoReply]] = [
        [LOST, OVERLOADED],
        [NEVER_SENT, LOST, OVERLOADED],
        [UNAVAILABLE, NEVER_SENT],
    ]
    for outcomes in doubtful:
        assert isinstance(tried(capture(), outcomes).result, Unknown)
    assert isinstance(tried(capture(), [OVERLOADED, NEVER_SENT]).result, Unavailable)


SPEAKS_OF_ALL = {
    problems.PAYMENT_ID_CONFLICT,
    problems.KEY_REUSED,
    *problems.OF_OUTCOME.values(),
}


@pytest.mark.parametrize("kind", DEFINITE, ids=lambda kind: kind.name)
def test_a_refusal_says_nothing_of_an_earlier_attempt_unless_it_was_decided_by_the_key(
    kind: ProblemType,
) -> None:
    done = tried(capture(), [LOST, refusal(kind)])
    assert isinstance(done.result, Refused if kind in SPEAKS_OF_ALL else Unknown)
    assert done.result.problem is not None
    assert done.result.problem.type == kind.uri
    assert isinstance(tried(capture(), [NEVER_SENT, refusal(kind)]).result, Refused)


# ---- commands without a key ---------------------------------------------------------------------


def test_what_has_no_key_is_not_sent_again_when_it_may_have_been_carried_out() -> None:
    for call in (requests.authorize(PAYMENT, 60), requests.fail(PAYMENT, "voided")):
        done = tried(call, [OVERLOADED, NEVER_SENT, LOST])  # type: ignore[arg-type]
        assert isinstance(done.result, Unknown)
        assert len(done.sent) == 3
        assert done.result.key is None
        assert isinstance(tried(call, [OVERLOADED]).result, Unavailable)  # type: ignore[arg-type]


def test_a_creation_and_a_read_are() -> None:
    for call, ends_as in ((requests.create(500, PAYMENT), Unknown), (requests.read(PAYMENT), Unavailable)):
        done = tried(call, [LOST])  # type: ignore[arg-type]
        assert isinstance(done.result, ends_as)
        assert len(done.sent) > 5


# ---- how long -----------------------------------------------------------------------------------


def test_the_waits_double_up_to_a_bound() -> None:
    done = tried(capture(), [LOST])
    assert done.waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5, 5]
    assert tried(capture(), [LOST], jitter=0.0, seconds=[1.0] * 100).waits == [0.0] * 29


def test_the_wait_that_was_asked_for_is_kept_and_jitter_comes_on_top() -> None:
    done = tried(capture(), [OVERLOADED, OVERLOADED, OVERLOADED, CAPTURED])
    assert done.waits == [1.1, 1.2, 1.4]
    assert tried(capture(), [OVERLOADED, OVERLOADED, CAPTURED], jitter=0.0).waits == [1.0, 1.0]


def test_who_is_told_to_come_after_the_deadline_does_not_wait_for_it() -> None:
    done = tried(capture(), [refusal(problems.OVERLOADED, retry_after="31")])
    assert isinstance(done.result, Unavailable)
    assert (done.took, done.waits) == (0.0, [])
    never = tried(capture(), [reply(503, retry_after="9" * 400)])
    assert (type(never.result), never.waits) == (Unknown, [])


def test_an_attempt_has_its_own_limit_and_what_is_left() -> None:
    done = tried(capture(), [LOST], seconds=[100.0] * 10)
    assert done.limits[:2] == [12, 12]
    assert done.limits[2] == pytest.approx(30 - 2 * 12 - 0.1 - 0.2)
    assert done.took == pytest.approx(30)


DATE = "Fri, 02 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-1"}, 0),
        ({"retry-after": "1.5"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "٣"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 12:00:09 GMT", "date": "Fri, 02 Jan 2026 12:00:00 GMT"}, 9),
        ({"retry-after": "Fri, 02 Jan 2026 12:00:00 GMT", "date": "Fri, 02 Jan 2026 12:00:09 GMT"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 12:00:09 GMT"}, 0),
        ({"retry-after": f"Fri, 02 Jan {'9' * 20} 12:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": f"Fri, 02 Jan 2026 {'9' * 20}:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": f"Fri, 02 Jan 2026 12:00:00 +{'9' * 20}", "date": DATE}, 0),
        ({"retry-after": DATE, "date": f"Fri, 02 Jan {'9' * 20} 12:00:00 GMT"}, 0),
        ({"retry-after": f"{'x' * 100_000}"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 12:00:09 GMT", "date": "noon"}, 0),
        ({"retry-after": "Fri, 02 Jan 2026 12:00:09", "date": "Fri, 02 Jan 2026 12:00:00 GMT"}, 0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("name", ["deadline_s", "attempt_s", "first_wait_s", "longest_wait_s"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86_401])
def test_a_limit_that_is_none(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=name):
        Policy(**{name: seconds})


# ---- whatever happens ---------------------------------------------------------------------------

ANY_OUTCOME = st.sampled_from(
    [*INDEFINITE.values(), CAPTURED, OVERLOADED, *(refusal(kind) for kind in DEFINITE)]
)


@given(
    st.lists(ANY_OUTCOME, min_size=1, max_size=12),
    st.lists(st.floats(0, 20), max_size=12),
    st.floats(0.05, 1),
)
def test_it_ends_in_time_with_what_the_attempts_say(
    outcomes: list[Reply | NoReply], seconds: list[float], jitter: float
) -> None:
    done = tried(capture(), outcomes, seconds=seconds, jitter=jitter)
    assert done.took <= POLICY.deadline_s + 1e-6
    heard = [outcomes[min(n, len(outcomes) - 1)] for n in range(len(done.sent))]
    *earlier, last = heard
    assert not any(is_definite(each) for each in earlier), "a definite answer was asked for again"
    nothing_done = [INDEFINITE[name] for name in NOTHING_DONE]
    doubt = any(each not in nothing_done for each in earlier)
    if last == CAPTURED:
        assert isinstance(done.result, CaptureDocument)
    elif isinstance(done.result, Unavailable):
        assert not doubt
        assert last in nothing_done
    elif isinstance(done.result, Refused):
        assert is_definite(last)
        assert not doubt or done.result.problem.type in {kind.uri for kind in SPEAKS_OF_ALL}
    else:
        assert isinstance(done.result, Unknown)
        assert done.result.key == "key"


def is_definite(outcome: Reply | NoReply) -> bool:
    if isinstance(outcome, NoReply) or outcome in INDEFINITE.values():
        return False
    return outcome == CAPTURED or 400 <= outcome.status < 500


# ---- keys and tokens ----------------------------------------------------------------------------


def test_a_key_is_made_if_none_is_given() -> None:
    made: Iterator[str | None] = (requests.capture(PAYMENT, 500, None).key for _ in range(100))
    assert len(set(made)) == 100


@pytest.mark.parametrize("key", ["", "k" * 256, "clé", "a\tb", "a\nb", "a\x7f"])
def test_a_key_that_is_none_is_not_sent(key: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 visible ASCII"):
        requests.capture(PAYMENT, 500, key)


@pytest.mark.parametrize("payment_id", ["../x", str(PAYMENT), "7\r\nX: y", 7])
def test_an_id_that_is_none_is_not_sent(payment_id: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: requests.create(500, payment_id),
        lambda: requests.authorize(payment_id, 60),
        lambda: requests.capture(payment_id, 500, "key"),
        lambda: requests.fail(payment_id, "voided"),
        lambda: requests.read(payment_id),
        lambda: requests.captures(payment_id),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="UUID"):
            call()


@pytest.mark.parametrize("token", ["", "se cret", "secret\r\nX: y", "clé"])
def test_a_token_that_is_none_is_not_sent_nor_shown(token: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII") as raised:
        requests.authorization(token)
    assert not token or token not in str(raised.value)


def test_errors_say_by_which_id_the_log_finds_the_attempts() -> None:
    call = capture()
    done = tried(call, [LOST])
    assert isinstance(done.result, Unknown)
    assert done.result.request_id == call.request_id == call.headers["X-Request-ID"]
    assert capture().request_id != call.request_id
