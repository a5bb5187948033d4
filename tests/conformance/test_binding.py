"""Binding files: the default one says all that the service says, and a wrong one is told where."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from payments_model import Pending, Record
from payments_verify.binding import (
    Binding,
    BindingFileError,
    BoundClient,
    Names,
    Values,
    default_binding,
    default_text,
    load,
    own_client,
    parse,
    with_variables,
)
from payments_verify.binding.coverage import traits_of, unchecked, why_not
from payments_verify.binding.expected import expected_answer
from payments_verify.binding.requests import RequestWriter
from payments_verify.binding.values import read_rfc3339
from payments_verify.payments.observed.observations import Invocation, Observation, UnreadableAnswerError
from payments_verify.payments.observed.traits import EVERYTHING
from payments_verify.payments.programs.check import machine_check
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.payments.specification import oracle
from payments_verify.systems import in_memory
from tests.support.loopback import DIRECT

PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"


def test_the_default_file_reads_every_answer_of_the_service() -> None:
    result = machine_check("the service", in_memory, examples=50, steps=20, seed=1)
    assert result.counterexample is None
    seen = set(result.details["outcomes"])
    assert {"create -> exists", "capture -> captured (replayed)", "fail -> failed"} <= seen
    refusals = (
        "already_captured",
        "key_reused",
        "malformed",
        "not_found",
        "window_expired",
        "amount_mismatch",
    )
    assert {f"capture -> {refusal}" for refusal in refusals} <= seen


def test_the_default_file_leaves_nothing_unchecked() -> None:
    binding = default_binding()
    traits = traits_of(binding, moves_clock=True)
    assert replace(traits, sweeps=True, since=0) == EVERYTHING
    assert not traits.sweeps  # by a command, which takes a process each time
    assert list(unchecked(binding, traits, has_database=True)) == []
    not_raced = [name for name, scenario in SCENARIOS.items() if why_not(scenario, binding, traits)]
    assert not_raced == ["capture-and-sweep", "two-sweepers"]
    assert {why_not(scenario, binding, EVERYTHING) for scenario in SCENARIOS.values()} == {None}


WRONG = {
    "an unknown key": (
        'amount_cents = "{amount}"',
        'amount_cents = "{amuont}"',
        "commands.create.body.amount_",
    ),
    "an unknown section": ("[capture]", "[captures]", "captures"),
    "an unknown field": ('as_of = "as_of"', 'as_off = "as_of"', "as_off"),
    "an unknown outcome": ('outcome = "exists"', 'outcome = "exist"', "commands.create.answers[1].outcome"),
    "a wrong type": ("status = 409", 'status = "409"', "answers[2].status"),
    "a status without a verdict": ("status = 404", "status = 500", "answers[1].status"),
    "no method": ('request = "PUT /payments', 'request = "/payments', "commands.create.request"),
    "an unknown command": ("[commands.fail]", "[commands.void]", "commands.void"),
    "a command that is needed": ("[commands.capture]", "[commands.capturing]", "commands.capture"),
    "an unknown state": (
        'captured = "captured", failed',
        'captured = "paid", failed',
        "payment.states.captured",
    ),
    "no word of success": (
        'status = 201, outcome = "captured"',
        'status = 201, outcome = "read"',
        "commands.capture",
    ),
    "half a clock": ('by = "database"', 'by = "sql"', "clock.set"),
    "an unknown clock": ('by = "database"', 'by = "moon"', "clock.by"),
    "a lock of every row": ("payment_id = {payment} FOR", "true FOR", "lock.hold"),
    "two sweeps": ('command = "payments-core sweep"', 'command = "x"\nsql = "y"', "sweep"),
    "half of the attempts": ("[commands.attempts]", "[commands.attempt]", "commands.attempt"),
    "half of the pages": ('next = "next"\n', "", "attempts.next_request"),
    "pages that are all the first": ("captures?after={next}", "captures", "attempts.next_request"),
    "another version": ("version = 1", "version = 2", "version"),
    "no TOML": ("[payment]", "[payment", "not TOML"),
}


MOST = "max_amount = 999999999999 "
LIMITS = {
    "an amount beyond the model's": (
        "max_amount = 999999999999 ",
        "max_amount = 1000000000000 ",
        "max_amount",
    ),
    "no amount at all": (MOST, "max_amount = 0 ", "max_amount"),
    "an amount below the harness's": (MOST, "max_amount = 500 ", "max_amount"),
    "a window beyond the model's": ("seconds = 2678400", "seconds = 2678401", "max_window_seconds"),
    "a window below the harness's": ("seconds = 2678400", "seconds = 30", "max_window_seconds"),
    "an amount that is one": ("    1000.0, 500.0,", "    1000.0, 500,", "malformed_amounts[8]"),
    "no regular expression": ("[ -~]{1,255}", "[a-", "keys"),
    "keys that the harness does not send": ("[ -~]{1,255}", "[a-z]+", "keys"),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_by_which_a_right_service_would_be_accused_is_refused(limit: str) -> None:
    before, after, key = LIMITS[limit]
    assert before in default_text()
    with pytest.raises(BindingFileError, match=rf"^mine\.toml: limits\.{re.escape(key)}: "):
        parse(default_text().replace(before, after, 1), "mine.toml")


def test_the_most_that_a_limit_can_be_is_said() -> None:
    text = default_text().replace(MOST, "max_amount = 1000000000000 ")
    with pytest.raises(BindingFileError, match=r"must be 1000, .* to 999999999999, .* and is 1000000000000"):
        parse(text, "mine.toml")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("length = 16", "belongs to keys.form"),
        ('form = "k-{hex}"\nlength = 7', "must be 8 to 255"),
        ('form = "order-key-{hex}"\nlength = 10', "keys would be equal"),
        ('form = "order-key-{hex}"\nlength = 13', "keys would be equal"),
    ],
)
def test_a_length_that_keys_cannot_have_is_refused(keys: str, says: str) -> None:
    with pytest.raises(BindingFileError, match=rf"^mine\.toml: keys\.length: .*{says}"):
        parse(default_text().replace("[values]", f"[keys]\n{keys}\n\n[values]", 1), "mine.toml")


def test_text_that_is_an_amount_is_not_malformed() -> None:
    text = default_text().replace('amount = "cents"', 'amount = "decimal text"')
    parse(text.replace('"500", [500]', '"0.001", [500]').replace(', "1",', ', "x",'), "mine.toml")
    with pytest.raises(BindingFileError, match=r"limits\.malformed_amounts\[6\]: '1' is an amount"):
        parse(text, "mine.toml")


REFUSED_WITH_200 = """
[[answers]]
status = 200
where = { "error.code" = "gone" }
outcome = "not_found"
"""


@pytest.mark.parametrize("f", ["create", "authorize", "fail", "read", "attempts"])
def test_a_refusal_is_known_by_its_outcome_whatever_its_status(f: str) -> None:
    text = default_text()
    for each in ('{ status = 200, outcome = "', '{ status = 201, outcome = "'):
        text = text.replace(each, each.replace(",", ", where = { ok = true },", 1))
    client = BoundClient(httpx.AsyncClient(**DIRECT), parse(text + REFUSED_WITH_200, "mine.toml"))
    seen = answer(client, f, 200, {"error": {"code": "gone"}})
    assert (seen.kind, seen.value) == ("fail", {"outcome": "not_found"})


PHASES = """
[[answers]]
status = 418
where = { error = { exists = true }, "result.phase" = { exists = false } }
outcome = "not_found"

[[answers]]
status = 418
where = { error = { exists = false } }
outcome = "not_authorized"
"""


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({"error": {"code": 1}}, "not_found"),
        ({"error": False, "result": None}, "not_found"),
        ({"error": None, "result": {"phase": "new"}}, "not_authorized"),
        ({}, "not_authorized"),
        ({"error": 1, "result": {"phase": "new"}}, None),
    ],
)
def test_an_answer_may_be_told_by_a_member_that_is_there_or_not(document: Any, outcome: str | None) -> None:
    client = BoundClient(httpx.AsyncClient(**DIRECT), parse(default_text() + PHASES, "mine.toml"))
    if outcome is None:
        with pytest.raises(UnreadableAnswerError, match="look first whether the binding lacks one"):
            answer(client, "capture", 418, document, key="k", amount=1)
    else:
        assert answer(client, "capture", 418, document, key="k", amount=1).value["outcome"] == outcome


def test_an_answer_may_be_told_by_what_stands_in_a_list() -> None:
    text = default_text().replace(
        '{ type = "/problems/payment_not_found", status = 404 }', '{ "errors.0.code" = "MISSING" }'
    )
    binding = parse(text, "mine.toml")
    client = BoundClient(httpx.AsyncClient(**DIRECT), binding)
    missing = {"errors": [{"code": "MISSING"}, {"code": "MORE"}]}
    assert answer(client, "read", 404, missing).value["outcome"] == "not_found"
    others: list[Any] = [[{"code": "MORE"}], [], {"code": "MISSING"}]
    for other in others:
        with pytest.raises(UnreadableAnswerError):
            answer(client, "read", 404, {"errors": other})
    shown = expected_answer(binding, "read", {"outcome": "not_found"})
    assert shown == '404 {"errors":[{"code":"MISSING"}]}'


@pytest.mark.parametrize("wanted", ['"{amount}"', '"at {amuont}"'])
def test_a_placeholder_in_where_is_refused_with_its_place(wanted: str) -> None:
    text = default_text().replace(
        '{ status = 201, outcome = "captured" }',
        f'{{ status = 201, where = {{ "result.taken" = {wanted} }}, outcome = "captured" }}',
    )
    with pytest.raises(BindingFileError, match=r"commands\.capture\.answers\[0\]\.where\.result\.taken: "):
        parse(text, "mine.toml")


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('value = "true" }', 'value = "{key}" }', "capture.replayed.value"),
        ('state = "state"', 'state = "{payment}.state"', "payment.state"),
        ('items = "captures"', 'items = "{payment}.captures"', "attempts.items"),
        ("headers = {}", 'headers = { X-Shop = "{payment}" }', "service.headers.X-Shop"),
    ],
)
def test_a_placeholder_where_nothing_is_filled_in_is_refused(before: str, after: str, key: str) -> None:
    assert before in default_text()
    with pytest.raises(BindingFileError, match=rf"^mine\.toml: {re.escape(key)}: {{"):
        parse(default_text().replace(before, after, 1), "mine.toml")


@pytest.mark.parametrize(
    ("sweep", "key"),
    [
        ('request = "POST /sweep"\nbody = { at = "{now}" }', "sweep.body.at"),
        ('request = "POST /sweep"\nheaders = { X-By = "{key}" }', "sweep.headers.X-By"),
        ('command = "true"\nbody = { at = 1 }', "sweep.body"),
        ('sql = "SELECT 1"\nheaders = { X-By = "us" }', "sweep.headers"),
    ],
)
def test_what_is_wrong_with_a_request_that_sweeps_is_said_with_its_key(sweep: str, key: str) -> None:
    text = default_text().replace('command = "payments-core sweep"', sweep)
    with pytest.raises(BindingFileError, match=rf"^mine\.toml: {re.escape(key)}: "):
        parse(text, "mine.toml")


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_a_file_is_said_with_its_key(wrong: str) -> None:
    before, after, key = WRONG[wrong]
    assert before in default_text()
    with pytest.raises(BindingFileError, match=r"^mine\.toml: ") as raised:
        parse(default_text().replace(before, after, 1), "mine.toml")
    assert key in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BindingFileError, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml")


def bound(**changes: Any) -> BoundClient:
    binding = default_binding()
    return BoundClient(httpx.AsyncClient(**DIRECT), _changed(binding, **changes))


def _changed(binding: Binding, **changes: Any) -> Binding:
    return msgspec.structs.replace(binding, **changes)


@pytest.mark.parametrize(
    ("values", "asked", "body"),
    [
        (Values(amount="decimal text"), ("create", {"amount": 505}), {"amount_cents": "5.05"}),
        (Values(amount="decimal number"), ("create", {"amount": 505}), {"amount_cents": 5.05}),
        (Values(amount="decimal text"), ("create", {"amount": -1}), {"amount_cents": "-0.01"}),
        (
            Values(window="milliseconds"),
            ("authorize", {"window": 2_000_000}),
            {"capture_window_seconds": 2_000},
        ),
    ],
)
def test_values_are_written_as_the_service_takes_them(
    values: Values, asked: tuple[str, dict[str, Any]], body: dict[str, Any]
) -> None:
    f, arguments = asked
    assert bound(values=values).requests.write(Invocation(f, {"payment": PAYMENT, **arguments}))[3] == body


FAILED = {
    "state": "failed",
    "amount_cents": 500,
    "authorized_at": "2029-12-31T00:00:00Z",
    "capture_expires_at": "2030-01-02T00:00:00Z",
    "captured_at": None,
    "captured_amount_cents": None,
    "failed_at": "2030-01-01T00:00:00Z",
    "failure_reason": "voided",
    "as_of": "2030-01-01T00:00:00Z",
}


def answer(client: BoundClient, f: str, status: int, document: Any, **arguments: Any) -> Observation:
    return client.answers.read(
        Invocation(f, {"payment": PAYMENT, **arguments}), httpx.Response(status, json=document)
    )


def test_keys_that_must_be_uuids_are_told_apart_and_found_again() -> None:
    client = bound(values=Values(key="uuid"))
    written = [
        client.requests.write(Invocation("capture", {"payment": PAYMENT, "key": key, "amount": 1}))[2][
            "Idempotency-Key"
        ]
        for key in ("k1", "K1")
    ]
    assert len(set(written)) == 2
    stored = {"idempotency_key": written[1], "amount_cents": 1, "outcome": "captured"}
    stored["decided_at"] = "2030-01-01T00:00:00Z"
    (seen,) = answer(client, "attempts", 200, {"captures": [stored]}).value["attempts"]
    assert seen["key"] == "K1"


class Paged:
    """Answers a list of attempts in pages, as it is told to.

    Attributes:
        asked: the paths that were asked for.
    """

    def __init__(self, *pages: tuple[list[str], str | None]) -> None:
        self.pages = list(pages)
        self.asked: list[str] = []

    async def request(self, _method: str, path: str, **_: Any) -> httpx.Response:
        self.asked.append(path)
        keys, following = self.pages.pop(0)
        stored = {"amount_cents": 1, "outcome": "captured", "decided_at": "2030-01-01T00:00:00Z"}
        captures = [{"idempotency_key": key, **stored} for key in keys]
        return httpx.Response(200, json={"captures": captures, "next": following})


def test_a_list_in_pages_is_read_to_its_end() -> None:
    asked = Invocation("attempts", {"payment": PAYMENT})
    http = Paged((["a", "b"], "2"), (["c"], "3"), (["d"], None))
    seen = asyncio.run(own_client(http).send(asked))
    assert [each["key"] for each in seen.value["attempts"]] == ["a", "b", "c", "d"]
    path = f"/payments/{PAYMENT}/captures"
    assert http.asked == [path, f"{path}?after=2", f"{path}?after=3"]
    for again in (["a"], []):
        with pytest.raises(UnreadableAnswerError, match="nothing new"):
            asyncio.run(own_client(Paged((["a"], "2"), (again, "2"))).send(asked))


@pytest.mark.parametrize(
    ("stored", "outcome"),
    [
        ({"reason": None, "result": "SETTLED"}, "captured"),
        ({"reason": "TOO_LATE", "result": "DECLINED"}, "window_expired"),
        ({"reason": None, "result": "DECLINED"}, None),
        ({"reason": "STRANGE"}, None),
    ],
)
def test_an_outcome_that_is_stored_may_stand_at_one_of_two_places(
    stored: dict[str, Any], outcome: str | None
) -> None:
    before, _, after = default_text().partition("[attempts]")
    text = (
        f"{before}[attempts]"
        '\nitems = "list"\nkey = "key"\noutcome = ["reason", "result"]\n'
        'outcomes = { SETTLED = "captured", TOO_LATE = "window_expired" }\n' + after[after.index("# ----") :]
    )
    client = BoundClient(Paged(), parse(text, "mine.toml"))
    document = {"list": [{"key": "k1", **stored}]}
    if outcome is None:
        with pytest.raises(UnreadableAnswerError, match=r"attempts\.outcomes of the binding has no name for"):
            answer(client, "attempts", 200, document)
    else:
        (seen,) = answer(client, "attempts", 200, document).value["attempts"]
        assert seen == {"key": "k1", "outcome": outcome}


def test_an_id_that_the_service_chooses_is_used_from_then_on() -> None:
    text = default_text().replace('chosen_by = "client"', 'chosen_by = "service"')
    text = text.replace('request = "PUT /payments/{payment}"', 'request = "POST /payments"\nid = "data.id"')
    text = text.replace('kind = "uuid"', 'kind = "integer"').replace(
        "[commands.create]", "[commands.create]\n", 1
    )
    text = text.replace("shows_payment = true", "shows_payment = false", 1)
    client = BoundClient(httpx.AsyncClient(**DIRECT), parse(text, "mine.toml"))
    read = Invocation("read", {"payment": PAYMENT})
    assert 2_000_000_000 <= int(client.requests.write(read)[1].rsplit("/", 1)[1]) < 2**31
    assert answer(client, "create", 201, {"data": {"id": 7}}, amount=1).value == {"outcome": "created"}
    assert client.requests.write(read)[1] == "/payments/7"
    assert client.requests.id_of(PAYMENT) == "7"


def test_an_answer_that_stands_for_several_outcomes() -> None:
    text = default_text().replace(
        'outcome = "already_captured"', 'outcome = ["already_captured", "payment_failed"]'
    )
    client = BoundClient(httpx.AsyncClient(**DIRECT), parse(text, "mine.toml"))
    problem = {"type": "/problems/already_captured", "status": 409}
    seen = answer(client, "capture", 409, problem, key="k", amount=1).value
    assert (seen["outcome"], seen["also"]) == ("already_captured", ["payment_failed"])
    binding = parse(text, "mine.toml")
    told = list(unchecked(binding, traits_of(binding, moves_clock=True), has_database=True))
    assert told == ["answers: already_captured, payment_failed are one answer, and not told apart"]


@pytest.mark.parametrize(
    ("f", "status", "document"),
    [
        ("capture", 418, {}),
        ("capture", 409, {"type": "/problems/other", "status": 409}),
        ("read", 200, {"state": "pending"}),
        ("read", 200, {"state": "gone", "amount_cents": 1}),
        ("attempts", 200, {}),
    ],
)
def test_an_answer_that_the_binding_does_not_know_is_none(f: str, status: int, document: Any) -> None:
    with pytest.raises(UnreadableAnswerError, match="cannot be read"):
        answer(bound(), f, status, document, key="k", amount=1)


@pytest.mark.parametrize(
    ("member", "value", "told"),
    [
        ("state", "gone", "payment.states of the binding has no name for 'gone'"),
        (
            "authorized_at",
            None,
            "payment.authorized_at, which a failed payment has, at 'authorized_at': None",
        ),
        ("failed_at", "2030-01-01 00:00:00", "does not say its offset from UTC"),
        ("failure_reason", "bored", "payment.reasons of the binding has no name for 'bored'"),
        ("amount_cents", "a lot", "payment.amount, which a failed payment has, at 'amount_cents': 'a lot'"),
    ],
)
def test_what_cannot_be_read_of_a_payment_is_named(member: str, value: object, told: str) -> None:
    with pytest.raises(UnreadableAnswerError, match=re.escape(told)):
        answer(bound(), "read", 200, FAILED | {member: value})


@pytest.mark.parametrize("window", [None, "2030-01-01T00:00:00Z"])
def test_what_failed_before_it_was_authorized_has_no_window_that_is_compared(window: str | None) -> None:
    binding = parse(default_text().replace("reasons = [", "from_pending = true\nreasons = [", 1), "mine.toml")
    client, traits = BoundClient(httpx.AsyncClient(), binding), traits_of(binding, moves_clock=True)
    now = read_rfc3339(str(FAILED["failed_at"]))
    asked = Invocation("fail", traits.asked("fail", {"payment": PAYMENT, "reason": "voided"}))
    _, right = oracle.answer(Record(Pending(500)), asked, now)
    for cents, differs in ((500, False), (501, True)):
        shown = FAILED | {"authorized_at": window, "capture_expires_at": window, "amount_cents": cents}
        seen = answer(client, "fail", 200, shown, **asked.value).value
        compared = oracle.difference(traits.visible("fail", right), traits.visible("fail", seen))
        assert (compared is not None) == differs, compared
    told = list(unchecked(binding, traits, has_database=True))
    assert any(each.startswith("commands.fail.from_pending: ") for each in told)


def test_names_that_are_turned_around_are_told_which_comes_first() -> None:
    text = default_text().replace('pending = "pending"', 'pending = "new"')
    with pytest.raises(
        BindingFileError, match=r"payment\.states\.pending: .* comes first: new = \"pending\""
    ):
        parse(text, "mine.toml")


def test_a_server_error_is_no_definite_answer() -> None:
    assert answer(bound(), "capture", 500, {}, key="k", amount=1).kind == "unknown"


VARIABLES = (
    ("headers = {}", 'headers = { Authorization = "Bearer ${OF_MINE}" }', "service.headers.Authorization"),
    ("/payments/{payment}/fail", "/${OF_MINE}/{payment}/fail", "commands.fail.request"),
    ('reason = "{reason}"', 'shop = "${OF_MINE}"', "commands.fail.body.shop"),
    ('state = "state"', 'state = "${OF_MINE}.state"', "payment.state"),
    ("FROM payments WHERE", "FROM ${OF_MINE} WHERE", "lock.hold"),
)


def test_variables_of_the_environment_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    text = default_text()
    for before, after, _ in VARIABLES:
        text = text.replace(before, after, 1)
    monkeypatch.setenv("OF_MINE", "{amount}")
    binding = parse(text, "mine.toml")
    assert binding.lock is not None
    assert (binding.payment.state, binding.lock.hold[:37]) == (
        "{amount}.state",
        "SELECT state FROM {amount} WHERE paym",
    )
    fail = Invocation("fail", {"payment": PAYMENT, "reason": "voided"})
    written = RequestWriter(binding, Names()).write(fail)
    assert written == ("POST", f"/{{amount}}/{PAYMENT}/fail", {}, {"shop": "{amount}"})
    assert with_variables(binding.service.headers) == {"Authorization": "Bearer {amount}"}


@pytest.mark.parametrize(("before", "after", "key"), VARIABLES)
def test_a_variable_that_is_not_set_is_named_with_its_key(before: str, after: str, key: str) -> None:
    with pytest.raises(BindingFileError, match=f"{key}: names the variable OF_MINE, which is not set"):
        parse(default_text().replace(before, after, 1), "mine.toml")


LACKING = {
    "[commands.fail]": ("commands.fail", "capture-and-void"),
    "[lock]": ("lock.hold", "window-closes-behind-lock"),
    "[sweep]": ("sweep", "two-sweepers"),
}


@pytest.mark.parametrize("section", LACKING)
def test_what_is_left_out_is_said_not_to_be_checked(section: str) -> None:
    what, scenario = LACKING[section]
    text = without(default_text(), section)
    binding = parse(text, "mine.toml")
    traits = traits_of(binding, moves_clock=True)
    assert any(each.startswith(what) for each in unchecked(binding, traits, has_database=True))
    reason = why_not(SCENARIOS[scenario], binding, traits)
    assert reason is not None
    assert reason.startswith(what)


def without(text: str, section: str) -> str:
    """The text without a section: up to the next one."""
    begin = text.index(section)
    ends = [text.find(mark, begin + 1) for mark in ("\n[", "\n# ----")]
    end = min((each for each in ends if each > 0), default=len(text))
    return text[:begin] + text[end:]


@pytest.mark.parametrize(("shown", "read"), [("500", 500), ("500.0", 500), ("true", None), ('"500"', None)])
def test_an_amount_is_a_whole_number_and_true_is_none(shown: str, read: int | None) -> None:
    answer = (
        f'{{"payment_id": "{PAYMENT}", "state": "pending", "amount_cents": {shown}, "authorized_at": null,'
        ' "capture_expires_at": null, "captured_at": null, "captured_amount_cents": null, "failed_at": null,'
        ' "failure_reason": null, "as_of": "2026-01-01T00:00:00Z"}'
    )
    response = httpx.Response(200, content=answer.encode())
    read_payment = partial(
        own_client(httpx.AsyncClient(**DIRECT)).answers.read, Invocation("read", {"payment": PAYMENT})
    )
    if read is None:
        with pytest.raises(UnreadableAnswerError, match="no whole number"):
            read_payment(response)
    else:
        assert read_payment(response).value["payment"]["amount"] == read
