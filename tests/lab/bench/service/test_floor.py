"""The floor carries out the service's statements: a capture is stored, and stored once."""

from __future__ import annotations

import httpx

from lab.bench.service.database import FIRST_ID, Database
from lab.bench.service.servers import FLOOR, serving
from payments_core.infrastructure.postgres.migrate import migrate
from pgweave.embedded import temporary_postgres


def test_the_floor_captures_once() -> None:
    with temporary_postgres() as postgres:
        stored = Database(postgres.create_database("floor"))
        migrate(stored.dsn)
        stored.add_authorized(0, 2)
        with serving(FLOOR, stored.dsn) as server, httpx.Client(base_url=server.url) as client:
            statuses = [
                client.post(
                    f"/payments/{payment}-0000-0000-0000-000000000000/captures",
                    json={"amount_cents": 1000},
                    headers={"Idempotency-Key": key},
                ).status_code
                for payment, key in ((FIRST_ID, "a"), (FIRST_ID, "b"), (FIRST_ID + 1, "c"))
            ]
        assert (statuses, stored.captured(), stored.attempts()) == ([201, 409, 409], 1, 1)
