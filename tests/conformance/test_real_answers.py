"""What the APIs of others answer: a right service is not accused of it, and a wrong one is found."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from payments_verify.binding import (
    Binding,
    BindingFileError,
    BoundClient,
    Values,
    default_text,
    own_client,
    parse,
)
from payments_verify.binding.coverage import traits_of, unchecked
from payments_verify.binding.values import read_amount, read_instant, write_amount
from payments_verify.payments.observed.observations import Invocation, Observation, UnreadableAnswerError
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from payments_verify.systems.kept_http import KeepingSender
from pgweave.service.exchange import note_exchanges


@asynccontextmanager
async def bound_by(binding: Binding) -> AsyncIterator[ServiceUnderTest]:
    """Our own service, in memory, as another binding sees it."""
    async with in_memory() as service:
        clients = [each for each in service.clients if isinstance(each, BoundClient)]
        traits = replace(traits_of(binding, moves_clock=True), sweeps=True)
        yield replace(
            service, clients=tuple(BoundClient(each.http, binding) for each in clients), traits=traits
        )


def examined(text: str) -> CheckResult:
    return machine_check("ours", partial(bound_by, parse(text, "mine.toml")), examples=5, steps=12, seed=1)


def test_bodies_that_are_not_compared_accuse_nobody() -> None:
    found = examined(default_text().replace('body = "same bytes"', 'body = "not compared"'))
    assert found.verdict == "holds", found.counterexample
    assert found.details["outcomes"]["capture -> captured (replayed)"] > 0


PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"
READ = Invocation("read", {"payment": PAYMENT})
ATTEMPTS = Invocation("attempts", {"payment": PAYMENT})
CAPTURE = Invocation("capture", {"payment": PAYMENT, "key": "k", "amount": 500})
CAPTURED = {"captured_at": "2030-03-17T17:46:40Z"}
PENDING = {"state": "pending", "amount_cents": 500, "as_of": "2030-03-17T17:46:40Z"}


def asked(
    text: str, invocation: Invocation, answer: Callable[[httpx.Request], httpx.Response]
) -> Observation:
    """What a client of a service learns that answers so."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://service")
    return asyncio.run(BoundClient(http, parse(text, "mine.toml")).send(invocation))


def answered(text: str, invocation: Invocation, response: httpx.Response) -> Observation:
    return asked(text, invocation, lambda _: response)


def in_pages(*pages: tuple[list[str], str | None]) -> Observation:
    stored = {"amount_cents": 1, "outcome": "captured", "decided_at": "2030-01-01T00:00:00Z"}
    documents = iter(
        {"captures": [{"idempotency_key": key, **stored} for key in keys], "next": following}
        for keys, following in pages
    )
    return asked(default_text(), ATTEMPTS, lambda _: httpx.Response(200, json=next(documents)))


@pytest.mark.parametrize("end", [None, ""])
def test_a_list_of_whole_pages_ends_with_an_empty_one(end: str | None) -> None:
    seen = in_pages((["a", "b"], "2"), ([], end))
    assert [each["key"] for each in seen.value["attempts"]] == ["a", "b"]
    assert in_pages(([], end)).value["attempts"] == []


@pytest.mark.parametrize("again", [(["a"], None), (["a"], "3"), ([], "2")])
def test_a_page_that_shows_nothing_new_is_none(again: tuple[list[str], str | None]) -> None:
    with pytest.raises(UnreadableAnswerError, match="nothing new"):
        in_pages((["a"], "2"), again)


BY_STATUS = default_text().replace(
    'status = 404\nwhere = { type = "/problems/payment_not_found", status = 404 }', "status = 404"
)


@pytest.mark.parametrize(
    "body", [b"payment not found\n", b"<!DOCTYPE html><pre>Cannot GET</pre>", b"\xff\xfe", b"[" * 200_000]
)
def test_a_refusal_that_is_told_by_its_status_may_have_any_body(body: bytes) -> None:
    seen = answered(BY_STATUS, READ, httpx.Response(404, content=body))
    assert (seen.kind, seen.value) == ("fail", {"outcome": "not_found"})
    seen = answered(BY_STATUS, CAPTURE, httpx.Response(404, content=body))
    assert seen.value["outcome"] == "not_found"


@pytest.mark.parametrize(("text", "status"), [(default_text(), 404), (BY_STATUS, 200), (BY_STATUS, 409)])
@pytest.mark.parametrize("body", [b"OK", b"[" * 200_000])
def test_what_a_body_has_to_say_is_not_read_from_one_that_is_no_json(
    text: str, status: int, body: bytes
) -> None:
    with pytest.raises(UnreadableAnswerError, match="cannot be read"):
        answered(text, READ, httpx.Response(status, content=body))


def test_a_body_that_begins_with_a_byte_order_mark_is_read() -> None:
    response = httpx.Response(201, content=b"\xef\xbb\xbf" + httpx.Response(201, json=CAPTURED).content)
    assert answered(default_text(), CAPTURE, response).value["outcome"] == "captured"


def in_no_encoding(_: httpx.Request) -> httpx.Response:
    return httpx.Response(201, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))


def test_a_body_in_no_encoding_is_told_with_its_status() -> None:
    http = httpx.AsyncClient(transport=httpx.MockTransport(in_no_encoding), base_url="http://service")
    note_exchanges(http)
    with pytest.raises(UnreadableAnswerError, match=r"capture .* cannot be read") as raised:
        asyncio.run(KeepingSender(own_client(http)).send(CAPTURE))
    (told,) = raised.value.exchanges
    assert (told.status, told.answer) == (201, "a body that is not in its Content-Encoding")


@pytest.mark.parametrize(
    ("wanted", "shown", "fits"),
    [
        ("1", True, False),
        ("true", 1, False),
        ("0", False, False),
        ("true", True, True),
        ("1", 1, True),
        ("1", 1.0, True),
    ],
)
def test_true_is_no_number(wanted: str, shown: object, fits: bool) -> None:
    text = default_text().replace(
        'answers = [{ status = 201, outcome = "captured" }]',
        f'answers = [{{ status = 201, where = {{ ok = {wanted} }}, outcome = "captured" }}]',
    )
    response = httpx.Response(201, json={"ok": shown, **CAPTURED})
    if fits:
        assert answered(text, CAPTURE, response).value["outcome"] == "captured"
    else:
        with pytest.raises(UnreadableAnswerError):
            answered(text, CAPTURE, response)


HEADER = 'replayed = { header = "Idempotent-Replayed", value = "true" }'


def flagged(flag: str) -> str:
    text = default_text().replace(HEADER, f"replayed = {{ {flag} }}")
    return text.replace('body = "same bytes"', 'body = "not compared"') if "member" in flag else text


@pytest.mark.parametrize(
    ("flag", "header", "member", "replayed"),
    [
        ('header = "Idempotent-Replayed"', "true", None, True),
        ('header = "Idempotent-Replayed"', "True", None, True),
        ('header = "Idempotent-Replayed", value = true', "TRUE", None, True),
        ('header = "Idempotent-Replayed", value = true', "false", None, False),
        ('header = "Idempotent-Replayed", value = 1', "1", None, True),
        ('header = "Idempotent-Replayed", value = "HIT"', "HIT", None, True),
        ('header = "Idempotent-Replayed", value = "HIT"', "hit", None, False),
        ('header = "Idempotent-Replayed"', None, None, False),
        ('member = "replayed"', None, True, True),
        ('member = "replayed"', None, False, False),
        ('member = "replayed"', None, None, False),
        ('member = "replayed"', None, 1, False),
        ('member = "replayed", value = "true"', None, "true", True),
        ('member = "replayed", value = 1', None, 1, True),
        ('member = "replayed", value = 1', None, True, False),
    ],
)
def test_a_repeated_answer_says_so_in_a_header_or_a_member(
    flag: str, header: str | None, member: object, replayed: bool
) -> None:
    headers = {} if header is None else {"Idempotent-Replayed": header}
    response = httpx.Response(201, json={"replayed": member, **CAPTURED}, headers=headers)
    assert answered(flagged(flag), CAPTURE, response).value["replayed"] is replayed


@pytest.mark.parametrize(
    "flag",
    [
        'header = "Idempotent Replayed"',
        'header = ""',
        'header = "Replayed", value = ""',
        'header = "Replayed", value = " true"',
        'header = "Replayed", value = "a\\nb"',
        'member = "replayed", value = nan',
    ],
)
def test_a_flag_that_no_answer_can_have_is_refused(flag: str) -> None:
    with pytest.raises(BindingFileError, match=r"^mine\.toml: capture\.replayed"):
        parse(flagged(flag), "mine.toml")


def test_a_member_that_is_left_out_is_as_one_that_is_null() -> None:
    seen = answered(default_text(), READ, httpx.Response(200, json=PENDING))
    assert seen.value["payment"] == {"state": "pending", "amount": 500}
    with pytest.raises(UnreadableAnswerError, match="a pending payment has no captured_at"):
        answered(default_text(), READ, httpx.Response(200, json=PENDING | CAPTURED))
    with pytest.raises(UnreadableAnswerError, match="nothing stands at 'amount_cents'"):
        answered(default_text(), READ, httpx.Response(200, json={"state": "pending"}))


@pytest.mark.parametrize(
    ("shown", "read"), [("500", 500), (500, 500), ("-1", -1), ("500.0", 500), ("5e2", 500)]
)
def test_cents_may_be_text(shown: str | int, read: int) -> None:
    assert read_amount(shown, Values(amount="cents text")) == read


@pytest.mark.parametrize(
    "shown", [True, "5.5", "", "a", "1e999999999", "NaN", "Infinity", None, [500], "1_0", "٥"]
)
def test_text_that_is_no_number_of_cents_is_none(shown: Any) -> None:
    with pytest.raises(ValueError, match="is no"):
        read_amount(shown, Values(amount="cents text"))


def test_cents_are_sent_as_text_where_they_are_shown_so() -> None:
    assert write_amount(500, Values(amount="cents text")) == "500"
    text = default_text().replace('amount = "cents" ', 'amount = "cents text" ')
    with pytest.raises(BindingFileError, match=r"limits\.malformed_amounts\[6\]: '1' is an amount"):
        parse(text, "mine.toml")


INSTANT = 1_900_000_000_000_000


@pytest.mark.parametrize(
    ("written", "shown", "after"),
    [
        ("rfc3339", "2030-03-17t17:46:40z", 0),
        ("rfc3339", "2030-03-17T17:46:40.5z", 500_000),
        ("rfc3339", "2030-03-17T18:46:40.123456789+01:00", 123_456),
        ("unix seconds", 1_900_000_000.5, 500_000),
        ("unix seconds", 1_900_000_000.123457, 123_457),
        ("unix seconds", "1900000000.123457", 123_457),
        ("unix seconds", 1_900_000_000.0, 0),
        ("unix milliseconds", 1_900_000_000_123.457, 123_457),
        ("unix milliseconds", "1900000000123", 123_000),
        ("unix microseconds", 1_900_000_000_123_457, 123_457),
    ],
)
def test_an_instant_is_read_to_the_microsecond(written: Any, shown: Any, after: int) -> None:
    assert read_instant(shown, Values(instant=written)) == INSTANT + after


@pytest.mark.parametrize("shown", [True, None, "soon", "", "1e999999999", "NaN", [1], "2030-03-17T17:46:40"])
@pytest.mark.parametrize("written", ["rfc3339", "unix seconds"])
def test_what_is_no_instant_is_none(written: Any, shown: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_instant(shown, Values(instant=written))


@pytest.mark.parametrize("empty", [None, [], {}])
def test_a_list_of_nothing_may_be_null(empty: object) -> None:
    seen = answered(default_text(), ATTEMPTS, httpx.Response(200, json={"captures": empty, "next": None}))
    assert (seen.kind, seen.value["attempts"]) == ("ok", [])
    with pytest.raises(UnreadableAnswerError, match="nothing stands at 'captures'"):
        answered(default_text(), ATTEMPTS, httpx.Response(200, json={"next": None}))


@pytest.mark.parametrize(
    ("shown", "state"), [(True, "captured"), (False, "pending"), (2, "failed"), ("on", None)]
)
def test_a_state_may_be_a_word_of_json(shown: object, state: str | None) -> None:
    states = 'states = { true = "captured", false = "pending", 2 = "failed" }'
    text = re.sub(r"\nstates = .*", f"\n{states}", default_text())
    text = re.sub(r'\n(authorized|capture_exp|captured|failed)\w+ = "\w+"', "", text)
    text = text.replace('\nreason = "failure_reason"', "")
    response = httpx.Response(200, json={**PENDING, "state": shown})
    if state is None:
        with pytest.raises(UnreadableAnswerError, match="has no name for 'on'"):
            answered(text, READ, response)
    else:
        assert answered(text, READ, response).value["payment"]["state"] == state


def test_a_stored_outcome_may_be_a_word_of_json() -> None:
    text = default_text().replace('captured = "captured"\nnot_auth', 'true = "captured"\nnot_auth')
    stored = {
        "idempotency_key": "k",
        "amount_cents": 1,
        "decided_at": "2030-01-01T00:00:00Z",
        "outcome": True,
    }
    seen = answered(text, ATTEMPTS, httpx.Response(200, json={"captures": [stored]}))
    assert seen.value["attempts"][0]["outcome"] == "captured"


@pytest.mark.parametrize("name", [None, [1], {"id": 1}])
def test_what_is_no_name_is_none(name: object) -> None:
    stored = {
        "idempotency_key": name,
        "amount_cents": 1,
        "decided_at": "2030-01-01T00:00:00Z",
        "outcome": "captured",
    }
    with pytest.raises(UnreadableAnswerError, match="at 'idempotency_key' is no name"):
        answered(default_text(), ATTEMPTS, httpx.Response(200, json={"captures": [stored]}))


def test_a_header_that_is_there_twice_says_the_same() -> None:
    twice = [("Idempotent-Replayed", "true"), ("Idempotent-Replayed", "true")]
    seen = answered(default_text(), CAPTURE, httpx.Response(201, json=CAPTURED, headers=twice))
    assert seen.value["replayed"] is True
    split = [("Idempotent-Replayed", "true"), ("Idempotent-Replayed", "false")]
    seen = answered(default_text(), CAPTURE, httpx.Response(201, json=CAPTURED, headers=split))
    assert seen.value["replayed"] is False


def test_bodies_that_say_whether_they_are_repeated_cannot_be_the_same() -> None:
    text = default_text().replace(HEADER, 'replayed = { member = "replayed" }')
    with pytest.raises(BindingFileError, match=r"^mine\.toml: capture\.body: must be 'not compared'"):
        parse(text, "mine.toml")


@pytest.mark.parametrize(("dated", "verdict"), [("false", "holds"), ("true", "violated")])
def test_an_answer_to_a_refused_capture_need_not_be_dated(dated: str, verdict: str) -> None:
    text = default_text().replace('["captured_at", "decided_at"]', '["captured_at"]')
    if dated == "false":
        text = re.sub(r"refusals_are_dated = true.*", "refusals_are_dated = false", text)
    found = examined(text)
    assert found.verdict == verdict, found.counterexample
    traits = traits_of(parse(text, "mine.toml"), moves_clock=True)
    captured, refused = ({"outcome": each, "decided_at": 1} for each in ("captured", "already_captured"))
    assert traits.visible("capture", captured) == captured
    assert ("decided_at" in traits.visible("capture", refused)) == (dated == "true")
    told = list(unchecked(parse(text, "mine.toml"), traits, has_database=True))
    assert any(each.startswith("capture.refusals_are_dated: ") for each in told) == (dated == "false")
