"""What the APIs of others take: what is sent is of the type that they have given, and not another amount."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from payments_verify.binding import Binding, BindingFileError, BoundClient, default_text, parse
from payments_verify.payments.observed.observations import Invocation

PAYMENT = "0b4ad7f8-6a3c-4f0e-9a58-0d6c2f1f3a11"
READ = Invocation("read", {"payment": PAYMENT})
CREATE = Invocation("create", {"payment": PAYMENT, "amount": 500})


class Shop:
    """Numbers what it is asked for, and notes what it was sent.

    Attributes:
        sent: the paths and bodies.
    """

    def __init__(self, binding: Binding, **named: Any) -> None:
        self.sent: list[tuple[str, Any]] = []
        self._named = named
        transport = httpx.MockTransport(self._answer)
        self.client = BoundClient(httpx.AsyncClient(transport=transport, base_url="http://service"), binding)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = msgspec.json.decode(request.content) if request.content else None
        self.sent.append((request.url.path, body))
        return httpx.Response(201, json={"id": len(self.sent), **self._named})

    def ask(self, *invocations: Invocation) -> None:
        async def run() -> None:
            for each in invocations:
                await self.client.send(each)

        asyncio.run(run())


def chosen_by_service(kind: str) -> Binding:
    text = (
        default_text()
        .replace('chosen_by = "client"', 'chosen_by = "service"')
        .replace('kind = "uuid"', f'kind = "{kind}"', 1)
    )
    text = text.replace("shows_payment = true", 'shows_payment = false\nid = "id"', 1)
    text = text.replace(
        '"GET /payments/{payment}"', '"POST /rpc"\nbody = { id = "{payment}", of = "no {payment}" }'
    )
    return parse(
        text.replace('{ status = 200, outcome = "read" }', '{ status = 201, outcome = "read" }', 1), "b"
    )


@pytest.mark.parametrize(("named", "sent"), [(7, 7), ("7", "7"), ("pay_7", "pay_7")])
def test_an_id_in_a_body_is_of_the_type_that_the_service_gave(named: object, sent: object) -> None:
    client = Shop(chosen_by_service("integer"), id=named).client
    asyncio.run(client.send(CREATE))
    assert client.requests.write(READ)[3] == {"id": sent, "of": f"no {named}"}
    assert client.requests.id_of(PAYMENT) == str(named)


@pytest.mark.parametrize(("kind", "type_"), [("integer", int), ("text", str), ("uuid", str)])
def test_an_id_that_names_nothing_is_of_its_kind(kind: str, type_: type) -> None:
    body = Shop(chosen_by_service(kind)).client.requests.write(READ)[3]
    assert body is not None
    assert type(body["id"]) is type_


ORDER = """
[[setup]]
request = "POST /customers"
before = "create"
save = { customer = "id" }

[[setup]]
request = "POST /orders"
before = "create"
body = { customer = "{customer}" }
save = { order = "id" }
"""


def with_orders(chosen_by: str) -> Binding:
    binding = parse(
        (default_text() + ORDER).replace(
            'body = { amount_cents = "{amount}" }\nshows', 'body = { order = "{order}" }\nid = "id"\nshows', 1
        ),
        "mine.toml",
    )
    return msgspec.structs.replace(binding, ids=msgspec.structs.replace(binding.ids, chosen_by=chosen_by))


def without_answer(binding: Binding) -> Shop:
    """A shop whose answers to a creation say nothing that can be read, so that they are not looked at."""
    create = msgspec.structs.replace(binding.commands["create"], shows_payment=False)
    return Shop(msgspec.structs.replace(binding, commands={**binding.commands, "create": create}))


def test_a_number_that_is_saved_stays_one() -> None:
    shop = without_answer(with_orders("client"))
    shop.ask(CREATE)
    assert [body for _, body in shop.sent] == [None, {"customer": 1}, {"order": 2}]


def test_a_payment_that_is_created_again_is_of_the_same_order() -> None:
    shop = without_answer(with_orders("client"))
    shop.ask(CREATE, CREATE)
    assert [body for path, body in shop.sent if path.startswith("/payments")] == [{"order": 2}] * 2
    assert len(shop.sent) == 4


def test_a_service_that_chooses_ids_gets_another_order_for_each_payment() -> None:
    shop = without_answer(with_orders("service"))
    shop.ask(CREATE, CREATE)
    assert [body for path, body in shop.sent if path.startswith("/payments")] == [{"order": 2}, {"order": 5}]


def test_two_that_create_a_payment_at_once_send_the_same_order() -> None:
    shop = without_answer(with_orders("client"))

    async def run() -> None:
        await asyncio.gather(*(shop.client.send(CREATE) for _ in range(2)))

    asyncio.run(run())
    sent = [body for path, body in shop.sent if path.startswith("/payments")]
    assert len(sent) == 2
    assert sent[0] == sent[1]


CAPTURE = '{payment}/captures"\nheaders = { Idempotency-Key = "{key}" }\nbody = { amount_cents = "{amount}" }'
AS_TEXT = {
    "a form": ("[service]\n", '[service]\nbody = "form"\n'),
    "a query": (
        CAPTURE,
        CAPTURE.replace('captures"', 'captures?cents={amount}"').replace('= "{amount}"', "= 1"),
    ),
    "a word of a text": (CAPTURE, CAPTURE.replace('"{amount}"', '"EUR {amount}"')),
}


def undeclared(text: str) -> str:
    begin, end = text.index("malformed_amounts = ["), text.index("null_is_malformed")
    return text[:begin] + text[end:]


@pytest.mark.parametrize("place", AS_TEXT)
def test_an_amount_is_none_only_if_its_text_is_none(place: str) -> None:
    before, after = AS_TEXT[place]
    text = default_text().replace(before, after, 1)
    with pytest.raises(BindingFileError, match=r"limits\.malformed_amounts\[6\]: '1' is an amount"):
        parse(text, "mine.toml")
    left_out = parse(undeclared(text), "mine.toml").malformed_amounts
    assert "1" not in left_out
    assert {0, -1} <= {each for each in left_out if type(each) is int}
    assert "1" in parse(undeclared(default_text()), "mine.toml").malformed_amounts
