"""The application as it is shipped, in this process: with its tokens, limits, metrics and logs."""

from __future__ import annotations

from payments_core.application.ports import PaymentStore
from payments_core.entrypoints import tokens
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import guarded
from payments_verify.payments.http_binding import PaymentsClient
from payments_verify.systems.asgi import ApplicationClient


def shipped(store: PaymentStore) -> PaymentsClient:
    """A client of the application over ``store``, with a token that it accepts."""
    token, digest = tokens.make()
    app = guarded(create_app(store), Settings(tokens=digest, tokens_file=None), Metrics())
    return PaymentsClient(ApplicationClient(app, {"Authorization": f"Bearer {token}"}))
