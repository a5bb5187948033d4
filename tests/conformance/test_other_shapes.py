"""Services of other shapes, right and wrong: the binding says how they look, the verdict what they do."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from typer.testing import CliRunner, Result

from payments_verify.binding import Binding, BindingFileError, Names, Values, default_text, load, parse
from payments_verify.binding.coverage import traits_of, unchecked
from payments_verify.binding.encoding import encode
from payments_verify.binding.values import read_instant
from payments_verify.cli import app
from payments_verify.payments.inputs.classes import INSTANTS, left_out
from payments_verify.payments.observed.observations import Invocation
from payments_verify.payments.observed.trace import Trace
from payments_verify.payments.observed.traits import EVERYTHING, Traits
from payments_verify.payments.programs.check import machine_check, windows_check
from payments_verify.payments.service.under_test import ServiceUnderTest, SetUpError
from payments_verify.payments.specification.spec import Payments
from payments_verify.payments.stress.check import stress_check
from payments_verify.payments.stress.round import StressReport
from payments_verify.payments.stress.run import stress
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from payments_verify.systems.kept_http import learn_credentials
from payments_verify.systems.started import service_at
from pgweave.history.linearizability import check
from pgweave.service.command import CommandError, running_command
from tests.docs.pages import ROOT

SUPPORT = ROOT / "tests" / "support"
ORDERS = SUPPORT / "orders.toml"


@asynccontextmanager
async def opened(binding: Binding, bug: str, **shape: str) -> AsyncIterator[ServiceUnderTest]:
    command = f"exec {sys.executable} {SUPPORT}/orders_service.py"
    async with (
        running_command(command, {"BUG": bug, **shape}) as running,
        service_at(running.url, binding) as service,
    ):
        yield service


def examined(bug: str) -> CheckResult:
    open_service = partial(opened, load(ORDERS), bug)
    return machine_check("orders", open_service, examples=8, steps=10, seed=1)


def test_forms_ids_keys_and_orders_are_no_reason_to_accuse_it() -> None:
    found = examined("")
    assert found.verdict == "holds", found.counterexample
    assert {"fail -> failed", "capture -> captured"} <= set(found.details["outcomes"])


@pytest.mark.parametrize("bug", ["", "twice"])
def test_refusals_may_have_the_status_of_a_success(bug: str) -> None:
    text = re.sub(r"\nstatus = 4\d\d", "\nstatus = 200", ORDERS.read_text())
    text = re.sub(
        r"status = 20(\d), outcome", r"status = 20\1, where = { error = { exists = false } }, outcome", text
    )
    text = text.replace(
        "status = 200\noutcome", 'status = 200\nwhere = { "error.code" = "no_payment" }\noutcome'
    )
    open_service = partial(opened, parse(text, "mine.toml"), bug, RPC="1")
    found = machine_check("orders", open_service, examples=4, steps=8, seed=1)
    assert found.verdict == ("violated" if bug else "holds"), found.counterexample


@pytest.mark.parametrize(
    ("bug", "told"),
    [
        ("twice", "expected 'already_captured', got 'captured'"),
        ("forgets", "expected 'captured', got 'already_captured'"),
    ],
)
def test_what_it_does_wrong_is_found(bug: str, told: str) -> None:
    found = examined(bug)
    assert found.verdict == "violated"
    assert told in str(found.counterexample)


@pytest.mark.parametrize(("bug", "verdict"), [("", "holds"), ("revives", "violated")])
def test_what_is_cancelled_before_it_is_authorized_stays_cancelled(bug: str, verdict: str) -> None:
    payment = str(uuid4())
    sent: dict[str, dict[str, Any]] = {
        "create": {"amount": 500},
        "fail": {"reason": "voided"},
        "authorize": {"window": 60_000_000},
    }

    async def main() -> Trace:
        trace = Trace()
        async with opened(load(ORDERS), bug) as service:
            for f, arguments in sent.items():
                asked = service.traits.asked(f, {"payment": payment, **arguments})
                trace.add(f, asked, (await service.client.send(Invocation(f, asked))).value)
        return trace

    assert check(Payments(), asyncio.run(main()).operations()).verdict == verdict


def test_without_windows_none_is_waited_for_and_that_is_said() -> None:
    binding = load(ORDERS)
    found = windows_check("orders", partial(opened, binding, ""))
    assert (found.verdict, found.cases) == ("holds", 3)
    told = list(unchecked(binding, traits_of(binding, moves_clock=False), has_database=False))
    assert any(each.startswith("no {window} in what authorizes") for each in told)
    assert any(each.startswith("commands.capture names no {amount}") for each in told)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("POST /customers", "POST /nobody", "setup: POST /nobody was answered 404"),
        ('"data.id"', '"data.number"', "nothing stands at 'data.number'"),
    ],
)
def test_a_set_up_that_fails_is_no_verdict_and_says_why(before: str, after: str, says: str) -> None:
    binding = parse(ORDERS.read_text().replace(before, after), "mine.toml")
    with pytest.raises(CommandError, match=says):
        machine_check("orders", partial(opened, binding, ""), examples=1, steps=1, seed=1)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('form = "pay_{hex}"', 'form = "pay"', "ids.form: must have one of"),
        ('form = "k-{hex}"', 'form = "k-{digits}"', "keys.form: {digits} is no placeholder"),
        ("length = 16", "length = 3", "keys.length: must be 8 to 255"),
        ('"{customer}"', '"{order}"', r"setup\[1\].headers.X-Shop: {order} is no placeholder"),
        ('{ order = "id" }', '{ order = "id", amount = "id" }', r"setup\[1\].save.amount: is the name"),
        ('kind = "text"', 'kind = "uuid"', "ids.form: belongs to"),
    ],
)
def test_what_is_wrong_with_such_a_file_is_said_with_its_key(before: str, after: str, key: str) -> None:
    with pytest.raises(BindingFileError, match=key):
        parse(ORDERS.read_text().replace(before, after, 1), "mine.toml")


def test_bodies_within_bodies_become_fields_of_a_form() -> None:
    kind, content = encode("form", {"a": {"b": [1, {"c": "x y"}]}, "d": True, "e": None})
    assert kind == {"Content-Type": "application/x-www-form-urlencoded"}
    assert content == b"a%5Bb%5D%5B0%5D=1&a%5Bb%5D%5B1%5D%5Bc%5D=x+y&d=true&e="
    assert encode("form", None) == ({}, b"")


def with_amounts(*, after_key: bool = True) -> Binding:
    text = ORDERS.read_text().replace(
        'headers = { Idempotency-Key = "{key}" }',
        'headers = { Idempotency-Key = "{key}" }\nbody = { cents = "{amount}" }',
    )
    if after_key:
        text = text.replace("[limits]", "[limits]\nmalformed_after_key = true")
    for code, outcome in (("key_reused", "key_reused"), ("another_amount", "amount_mismatch")):
        text += f'[[answers]]\nstatus = 422\nwhere = {{ "error.code" = "{code}" }}\noutcome = "{outcome}"\n'
    return parse(text, "mine.toml")


@pytest.mark.parametrize(
    ("binding", "bug", "told"),
    [
        (with_amounts(), "", None),
        (with_amounts(), "forgives", "expected 'key_reused', got 'amount_mismatch'"),
        pytest.param(
            with_amounts(after_key=False),
            "",
            "expected 'malformed', got 'key_reused'",
            marks=pytest.mark.long,
        ),
    ],
    ids=["right", "wrong", "another order than the binding says"],
)
def test_an_amount_may_be_looked_at_after_the_key(binding: Binding, bug: str, told: str | None) -> None:
    open_service = partial(opened, binding, bug, AMOUNTS="1")
    found = machine_check("orders", open_service, examples=1, steps=1, seed=1)
    assert found.verdict == ("holds" if told is None else "violated"), found.counterexample
    assert told is None or told in str(found.counterexample)


@pytest.mark.parametrize(("says_so", "verdict"), [(True, "holds"), (False, "violated")])
def test_what_is_malformed_may_use_its_key(says_so: bool, verdict: str) -> None:
    binding = with_amounts()
    limits = msgspec.structs.replace(binding.limits, malformed_uses_key=says_so)
    binding = msgspec.structs.replace(binding, limits=limits)
    open_service = partial(opened, binding, "", AMOUNTS="1", KEEPS="1")
    found = machine_check("orders", open_service, examples=2, steps=10, seed=1)
    assert found.verdict == verdict, found.counterexample
    assert says_so or "expected 'malformed', got 'key_reused'" in str(found.counterexample)


@pytest.mark.parametrize(
    ("scope", "account", "told"),
    [
        ("account", "1", None),
        ("account", "", "expected 'key_reused', got 'captured'"),
        ("payment", "1", "expected 'captured', got 'key_reused'"),
    ],
)
def test_a_key_may_be_one_for_all_payments(scope: str, account: str, told: str | None) -> None:
    text = ORDERS.read_text().replace("[keys]", f'[keys]\nscope = "{scope}"')
    text += '[[answers]]\nstatus = 422\nwhere = { "error.code" = "key_reused" }\noutcome = "key_reused"\n'
    open_service = partial(opened, parse(text, "mine.toml"), "", ACCOUNT=account)
    found = machine_check("orders", open_service, examples=2, steps=5, seed=1)
    assert found.verdict == ("holds" if told is None else "violated"), found.counterexample
    assert told is None or told in str(found.counterexample)


def that_holds() -> Binding:
    text = ORDERS.read_text()
    begin, end = text.index("[commands.authorize]"), text.index("[commands.capture]")
    return parse(
        (text[:begin] + text[end:]).replace('id = "id"', 'id = "id"\nauthorizes = true', 1), "mine.toml"
    )


@pytest.mark.parametrize(("holds", "told"), [("1", None), ("", "got {'state': 'pending', 'amount': 500}")])
def test_a_creation_may_authorize(holds: str, told: str | None, tmp_path: Path) -> None:
    found = machine_check(
        "orders", partial(opened, that_holds(), "", HOLDS=holds), examples=8, steps=8, seed=1
    )
    assert found.verdict == ("holds" if told is None else "violated"), found.counterexample
    assert told is None or told in str(found.counterexample)
    if told is not None:
        return

    async def race() -> StressReport:
        async with opened(that_holds(), "", HOLDS=holds) as service:
            return await stress(service, tmp_path, rounds=2, seed=1)

    report = asyncio.run(race())
    assert report.violation is None
    assert report.outcomes["create -> created"] > 0


def test_requests_are_signed_by_a_function_beside_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", "of ours")
    text = ORDERS.read_text().replace('body = "form"', 'body = "form"\nsign = "sign_orders.py:sign"', 1)
    (tmp_path / "orders.toml").write_text(text)
    with pytest.raises(BindingFileError, match=r"service\.sign: .* cannot be run: FileNotFound"):
        load(tmp_path / "orders.toml")
    (tmp_path / "sign_orders.py").write_text((SUPPORT / "sign_orders.py").read_text())
    found = windows_check("orders", partial(opened, load(tmp_path / "orders.toml"), ""))
    assert (found.verdict, found.cases) == ("holds", 3)
    with pytest.raises(CommandError, match="answered 401"):
        windows_check("orders", partial(opened, load(ORDERS), ""))
    (tmp_path / "orders.toml").write_text(text.replace(":sign", ":seal"))
    with pytest.raises(BindingFileError, match=r"service\.sign: .* has no function 'seal'"):
        load(tmp_path / "orders.toml")


def test_a_range_of_instants_that_ends_is_not_left() -> None:
    last = INSTANTS["clock: 2^31 seconds"]

    @asynccontextmanager
    async def ending(traits: Traits) -> AsyncIterator[ServiceUnderTest]:
        async with in_memory() as service:

            async def set_clock(now: int) -> None:
                if now >= last:
                    raise OverflowError("an instant has 32 bits")
                await service.set_clock(now)

            yield replace(service, set_clock=set_clock, traits=traits)

    found = machine_check(
        "ours", partial(ending, replace(EVERYTHING, until=last)), examples=5, steps=10, seed=1
    )
    assert found.verdict == "holds", found.counterexample
    assert left_out(replace(EVERYTHING, until=last))["clock: 2^32 seconds"] == "clock.until"
    with pytest.raises(OverflowError):
        machine_check("ours", partial(ending, EVERYTHING), examples=5, steps=10, seed=1)


@pytest.mark.parametrize("until", ["soon", "2030-06-01T00:00:00Z"])
def test_an_end_of_time_is_an_instant_that_leaves_room(until: str) -> None:
    text = default_text().replace(
        'function = "payment_clock"', f'function = "payment_clock"\nuntil = "{until}"'
    )
    with pytest.raises(BindingFileError, match=r"clock\.until: "):
        parse(text, "mine.toml")


def test_a_creation_authorizes_or_something_else_does() -> None:
    both = ORDERS.read_text().replace('id = "id"', 'id = "id"\nauthorizes = true', 1)
    neither = ORDERS.read_text().replace("[commands.authorize]", "[commands.attempts]")
    for text in (both, neither):
        with pytest.raises(BindingFileError, match=r"commands\.authorize: is there if, and only if"):
            parse(text, "mine.toml")


@asynccontextmanager
async def in_milliseconds(resolution: int) -> AsyncIterator[ServiceUnderTest]:
    """Our service on a clock that tells nothing shorter than a millisecond."""
    async with in_memory() as service:

        async def set_clock(now: int) -> None:
            if now % 1_000:
                raise ArithmeticError(f"{now} µs are no whole milliseconds")
            await service.set_clock(now)

        traits = replace(service.traits, resolution=resolution)
        yield replace(service, set_clock=set_clock, traits=traits)


def test_a_clock_may_tell_whole_milliseconds_alone(tmp_path: Path) -> None:
    open_service = partial(in_milliseconds, 1_000)
    for found in (
        machine_check("ours", open_service, examples=5, steps=10, seed=1),
        windows_check("ours", open_service),
        stress_check("ours", open_service, tmp_path, rounds=2, seed=1, progress=None),
    ):
        assert found.verdict == "holds", found.counterexample
    with pytest.raises(ArithmeticError):
        machine_check("ours", partial(in_milliseconds, 1), examples=5, steps=10, seed=1)


def test_instants_in_seconds_are_read_and_written() -> None:
    values = Values(instant="unix seconds")
    assert read_instant(1_900_000_000, values) == 1_900_000_000_000_000
    assert read_instant("1900000000", Values(instant="unix milliseconds")) == 1_900_000_000_000


LOGS_IN = """headers = { Authorization = "Bearer {token}" }

[[setup]]
request = "POST /login"
body = { password = "PASSWORD" }
answers = [{ status = 200, where = { outcome = "welcome" } }]
save = { token = "token" }
"""


def with_login(password: str) -> Binding:
    text = ORDERS.read_text().replace('body = "form"\n', f'body = "form"\n{LOGS_IN}', 1)
    return parse(text.replace("PASSWORD", password), "mine.toml")


@pytest.mark.parametrize("bug", ["", "twice"])
def test_every_request_may_have_what_a_login_gave(bug: str) -> None:
    open_service = partial(opened, with_login("open"), bug, LOGIN="open")
    found = machine_check("orders", open_service, examples=4, steps=8, seed=1)
    assert found.verdict == ("violated" if bug else "holds"), found.counterexample
    if bug:
        assert "# 1  setup: POST /login\nTOKEN=$(curl" in str(found.counterexample)
        assert "-H 'Authorization: Bearer '\"${TOKEN}\"" in str(found.counterexample)


@pytest.mark.parametrize("option", ["--record", "--output"])
def test_what_a_login_gave_is_in_nothing_that_is_recorded(
    option: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "op\"en&'s3same")
    text = ORDERS.read_text().replace('body = "form"\n', f'body = "form"\n{LOGS_IN}', 1)
    (tmp_path / "mine.toml").write_text(text.replace("PASSWORD", "${SHOP_PASSWORD}"))
    given: list[str] = []

    def learn(http: httpx.AsyncClient, secrets: dict[str, str]) -> None:
        learn_credentials(http, secrets)

        async def note(request: httpx.Request) -> None:
            given.extend(request.headers.get("authorization", "").split()[1:])

        http.event_hooks["request"].append(note)

    monkeypatch.setattr("payments_verify.systems.started.learn_credentials", learn)
    command = f"exec {sys.executable} {SUPPORT}/orders_service.py"

    async def url_of() -> Result:
        environment = {"BUG": "twice", "LOGIN": "op\"en&'s3same"}
        async with running_command(command, environment) as running:
            words = ["--url", running.url, "--binding", f"{tmp_path}/mine.toml", "--level", "1", "--quick"]
            asked = ["conformance", *words, option, f"{tmp_path}/kept", "--seed", "1"]
            return await asyncio.to_thread(CliRunner().invoke, app, asked)

    done = asyncio.run(url_of())
    assert done.exit_code == 1, done.output
    assert "TOKEN=$(curl" in done.stdout
    written = {each: each.read_text() for each in (tmp_path / "kept").rglob("*") if each.is_file()}
    assert len(written) >= 4
    for secret in {*given, "s3same"}:
        assert secret not in done.output
        assert [each.name for each, text in written.items() if secret in text] == []
    assert given


def test_a_login_that_is_refused_with_status_200_is_told() -> None:
    async def run() -> None:
        async with opened(with_login("wrong"), "", LOGIN="open"):
            pass

    told = r'setup: POST /login was answered 200: \{"outcome":"refused",.*none of its answers in the binding'
    with pytest.raises(CommandError, match=told):
        asyncio.run(run())


def test_a_set_up_that_fails_is_told_without_what_a_login_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echoed(_http: object, _binding: Binding, names: Names) -> None:
        names.saved["token"] = "of-a-session"
        raise SetUpError("answered 404: of-a-session is not there")

    monkeypatch.setattr("payments_verify.systems.started.set_up", echoed)

    async def run() -> None:
        async with opened(with_login("open"), "", LOGIN="open"):
            pass

    with pytest.raises(CommandError, match=r"^answered 404: \$\{TOKEN\} is not there$"):
        asyncio.run(run())


def test_what_only_a_payment_has_is_in_no_header_field_of_everything() -> None:
    text = ORDERS.read_text().replace(
        'body = "form"\n', 'body = "form"\nheaders = { X-Order = "{order}" }\n', 1
    )
    with pytest.raises(
        BindingFileError, match=r"service\.headers\.X-Order: \{order\} is no placeholder here"
    ):
        parse(text, "mine.toml")
