"""The application as it is shipped, in this process: with its tokens, limits, metrics and logs."""

from __future__ import annotations

from payments_core.application.ports import PaymentStore
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints import tokens
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import exposition, guarded
from payments_verify.binding import BoundClient, own_client
from payments_verify.surface import FirstAnswers, Witness
from payments_verify.systems.asgi import ApplicationClient


def application_client(store: PaymentStore, max_stored_refusals: int = MAX_STORED_REFUSALS) -> BoundClient:
    """A client of the application over ``store``, with a token that it accepts."""
    return own_client(witnessed(store, max_stored_refusals))


def witnessed(
    store: PaymentStore,
    max_stored_refusals: int = MAX_STORED_REFUSALS,
    first: FirstAnswers | None = None,
) -> Witness:
    """The application over ``store`` as a process of its own, with a token, and its witness."""
    token, digest = tokens.make()
    metrics = Metrics()
    made = create_app(store, routes=[exposition(metrics)], max_stored_refusals=max_stored_refusals)
    app = guarded(made, Settings(tokens=digest, tokens_file=None), metrics)
    return Witness(ApplicationClient(app, {"Authorization": f"Bearer {token}"}), first)
