"""Clients without the witness that knows the whole contract."""

from __future__ import annotations

from payments_verify.binding import BoundClient, own_client
from payments_verify.payments.observed.observations import Sender
from payments_verify.surface import Witness


def unwitnessed(client: Sender) -> BoundClient:
    """The same client, whose answers nobody but the judge compares."""
    assert isinstance(client, BoundClient)
    assert isinstance(client.http, Witness)
    return own_client(client.http.http)
