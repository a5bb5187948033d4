"""The application behind its guards, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import httpx

from payments_core.application.ports import PaymentStore
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import exposition, guarded


@dataclass(frozen=True)
class Guarded:
    """The application and its metrics."""

    http: httpx.AsyncClient
    transport: httpx.AsyncBaseTransport
    metrics: Metrics

    def metric(self, sample: str) -> float | None:
        """The value of a sample, by its name and labels as they are printed; ``None`` if there is none."""
        return sample_of(self.metrics.exposition().decode(), sample)


def sample_of(exposition: str, sample: str) -> float | None:
    """The value of a sample in a page of metrics."""
    values = [
        line.rpartition(" ")[2] for line in exposition.splitlines() if line.rpartition(" ")[0] == sample
    ]
    return float(values[0]) if values else None


@asynccontextmanager
async def guarded_over(
    store: PaymentStore, settings: Settings | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Guarded]:
    """The application over a store, with the guards that the settings say."""
    metrics = metrics or Metrics()
    app = guarded(create_app(store, routes=[exposition(metrics)]), settings or Settings(), metrics)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield Guarded(http, transport, metrics)


async def authorized(service: Guarded) -> str:
    """The path of an authorized payment of 500 cents."""
    path = f"/payments/{uuid4()}"
    assert (await service.http.put(path, json={"amount_cents": 500})).status_code == 201
    answer = await service.http.post(f"{path}/authorize", json={"capture_window_seconds": 3600})
    assert answer.status_code == 200
    return path


async def capture(service: Guarded, path: str, key: str) -> httpx.Response:
    """Ask for a capture of 500 cents."""
    headers = {"Idempotency-Key": key}
    return await service.http.post(f"{path}/captures", json={"amount_cents": 500}, headers=headers)
