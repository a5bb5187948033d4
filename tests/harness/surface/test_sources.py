"""A process without tokens is asked by its own machine and by others; one that believes others is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import uuid4

import pytest

from payments_core.domain.values import Amount
from payments_core.entrypoints import wiring
from payments_core.entrypoints.addresses import is_loopback
from payments_core.entrypoints.http import protocol, sources
from payments_core.entrypoints.http.access import is_open
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_verify.surface import Server, Witness
from payments_verify.surface.exchange import first_wrong
from payments_verify.surface.sources import from_elsewhere
from payments_verify.surface.written import PAYMENT, UNKNOWN
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.protocol import served


def told() -> str | None:
    async def run() -> str | None:
        store, payment = InMemoryPaymentStore(lambda: 0), uuid4()
        await store.create(payment, Amount(500))
        settings = Settings(tokens="", tokens_file=None)
        app = wiring.guarded(create_app(store), settings, Metrics())
        async with served(app) as running:
            own = f"127.0.0.1:{running.port}"
            meant = {PAYMENT: str(payment), UNKNOWN: str(uuid4()), "{own}": own}
            server, witness = Server("127.0.0.1", running.port, ""), Witness(ApplicationClient(app))
            return await first_wrong(witness, server, from_elsewhere(), meant)

    with nothing_logged():
        return asyncio.run(run())


def test_the_service_as_it_is() -> None:
    assert told() is None


def passes_over(name: bytes) -> Callable[[pytest.MonkeyPatch], None]:
    """A field that nobody looks at."""

    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        said = sources._said  # noqa: SLF001 - where the fields are taken from
        monkeypatch.setattr(sources, "_said", lambda scope: {**said(scope), name: []})

    return broken


def first_of(name: bytes) -> Callable[[pytest.MonkeyPatch], None]:
    """A field of which the first alone is looked at."""

    def broken(monkeypatch: pytest.MonkeyPatch) -> None:
        said = sources._said  # noqa: SLF001 - where the fields are taken from
        monkeypatch.setattr(sources, "_said", lambda scope: {**said(scope), name: said(scope)[name][:1]})

    return broken


def with_the_fields_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "set_host", lambda *_: None)


def with_any_old_host(monkeypatch: pytest.MonkeyPatch) -> None:
    look = sources.Sources.__call__
    monkeypatch.setattr(
        sources.Sources,
        "__call__",
        lambda self, scope: None if scope["http_version"] == "1.0" else look(self, scope),
    )


def with_names_that_begin_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "is_loopback", lambda host: host.startswith(("127.", "localhost", "::")))


def with_private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "is_loopback", lambda host: is_loopback(host) or host.startswith("169."))


def with_open_payments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "is_open", lambda path: is_open(path) or path == "/metrics")


def without_open_health(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "is_open", lambda _: False)


def with_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(protocol.BoundedProtocol, "on_header")


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (passes_over(b"origin"), "'Host: {own}\\r\\nOrigin: null\\r\\n': expected 403"),
        (
            passes_over(b"sec-fetch-site"),
            "Sec-Fetch-Site: cross-site\\r\\n': expected 403 foreign_origin, got 200",
        ),
        (first_of(b"origin"), "\\r\\nOrigin: null\\r\\n': expected 403 foreign_origin, got 200"),
        (first_of(b"sec-fetch-site"), "none\\r\\nSec-Fetch-Site: cross-site\\r\\n': expected 403"),
        (
            with_the_fields_host,
            "http://{own}/payments/{payment} with 'Host: example.com\\r\\n': expected 200",
        ),
        (with_any_old_host, ", in HTTP/1.0: answer 2: expected 421 foreign_host, got 200"),
        (with_names_that_begin_so, "with 'Host: 127.0.0.1.example.com\\r\\n': expected 421"),
        (with_private_addresses, "with 'Host: 169.254.0.1\\r\\n': expected 421 foreign_host, got 200"),
        (with_open_payments, "without tokens, /metrics with "),
        (without_open_health, "without tokens, /healthz with "),
        (with_spaces, "with 'Host: localhost \\t\\r\\n': expected 200, got 400"),
    ],
)
def test_one_that_believes_others_is_told(
    breaks: Callable[[pytest.MonkeyPatch], None], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch)
    found = told() or ""
    assert found.startswith("I2, I11: without tokens, ")
    assert says in found
