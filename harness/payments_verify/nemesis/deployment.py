"""The service as it is deployed, for faults: two processes, as shipped, and a durable database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from payments_verify.nemesis.error_triggers import prepare
from payments_verify.nemesis.http import HttpPool
from payments_verify.nemesis.load import Habits, Load
from payments_verify.nemesis.network import Network
from payments_verify.systems import ApiProcess, Cluster, make_token

POOL_MAX = 5
"""Connections of each process of the service."""

_PROCESSES = 2
_REQUEST_LIMIT_S = 8.0
"""Twice what a request of the service may take: whoever is not answered by then never is."""
ENVIRONMENT = {
    "PAYMENTS_LOG_LEVEL": "warning",
    "PAYMENTS_POOL_MAX": str(POOL_MAX),
    "PAYMENTS_SWEEP_INTERVAL_S": "0.05",
    # Shorter than shipped, so that whoever hangs is given up within the time of a window.
    "PAYMENTS_POOL_TIMEOUT_S": "2",
    "PAYMENTS_LOCK_TIMEOUT_MS": "2000",
    "PAYMENTS_STATEMENT_TIMEOUT_MS": "3000",
    "PAYMENTS_REQUEST_TIMEOUT_S": "4",
    "PAYMENTS_IDLE_IN_TRANSACTION_TIMEOUT_MS": "4000",
    "PAYMENTS_TRANSACTION_TIMEOUT_MS": "6000",
}
"""The settings of a service that is hurt, but for its database and its tokens."""


@dataclass
class Deployment:
    """What faults strike: the service's processes, their database, and the way between them.

    Attributes:
        cluster: its database.
        network: the way from the service to its database.
        apis: the processes of the service.
        habits: what its clients do.
        load: its clients of the present window, once there are some.
        token: what clients are to send to be let in.
    """

    cluster: Cluster
    network: Network
    apis: tuple[ApiProcess, ...]
    token: str
    habits: Habits = field(default_factory=Habits)
    load: Load | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        bin_dir: Path | None = None,
        settings: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Self]:
        """Start all of it, until the block ends.

        Args:
            bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
            settings: more settings of the database server.
            variables: more of the environment of the service.

        Raises:
            EmbeddedPostgresError: if the database cannot be started.
            ServerError: if a process of the service does not come to serve.
        """
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(Cluster.open(bin_dir, settings))
            network = await stack.enter_async_context(Network.between(cluster.address))
            async with cluster.connect() as connection:
                await prepare(connection)
                await connection.execute(b"CHECKPOINT")  # what is prepared stays, whatever the settings
            token, accepted = make_token()
            environment = {
                **ENVIRONMENT,
                **(variables or {}),
                "DATABASE_URL": cluster.service_dsn(network.port),
                "PAYMENTS_TOKENS": accepted,
            }
            apis = [await stack.enter_async_context(ApiProcess.run(environment)) for _ in range(_PROCESSES)]
            yield cls(cluster, network, tuple(apis), token)

    @asynccontextmanager
    async def pools(self) -> AsyncIterator[tuple[HttpPool, ...]]:
        """Connections to each process of the service, until the block ends."""
        async with AsyncExitStack() as stack:
            opening = [HttpPool.of(api.url, self.token, _REQUEST_LIMIT_S) for api in self.apis]
            yield tuple([await stack.enter_async_context(each) for each in opening])
