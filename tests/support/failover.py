"""A service that knows two hosts, a primary and its standby, between which it chooses itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg

from payments_verify.nemesis.deployment import ENVIRONMENT, Deployment
from payments_verify.nemesis.fault import Fault
from payments_verify.nemesis.network import Network
from payments_verify.systems import ApiProcess, Cluster, make_token
from tests.support.postgres import chosen_bin_dir


class Hosts(Deployment):
    """Two processes of the service, and two hosts of its database.

    Attributes:
        ways: how the service reaches the first host, and the second: each always the same.
        replication: how the standby reaches the primary.
        first_is_primary: whether the primary is the first of them.
        is_waited_for: whether commits wait for the standby.
    """

    ways: tuple[Network, Network]
    replication: Network
    first_is_primary: bool = True
    is_waited_for: bool = True

    @property
    def primary_way(self) -> Network:
        """How the service reaches the primary."""
        return self.ways[0 if self.first_is_primary else 1]

    async def return_former(self) -> None:
        """Let the host that was lost come back, as the standby of the other."""
        self.replication.upstream = self.cluster.address
        await self.cluster.add_standby(self.replication.port, is_waited_for=self.is_waited_for)
        self.ways[1 if self.first_is_primary else 0].upstream = self.cluster.standby_address


@asynccontextmanager
async def two_hosts(*, directly: bool = False, is_waited_for: bool = True) -> AsyncIterator[Hosts]:
    """Start all of it, until the block ends.

    Args:
        directly: whether the service is told the servers' own addresses; no packet can be dropped then.
        is_waited_for: whether the replication is synchronous.
    """
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster.open(chosen_bin_dir()))
        replication = await stack.enter_async_context(Network.between(cluster.address))
        await cluster.add_standby(replication.port, is_waited_for=is_waited_for)
        servers = cluster.address, cluster.standby_address
        first, second = [await stack.enter_async_context(Network.between(server)) for server in servers]
        ports = [port for _, port in servers] if directly else [first.port, second.port]
        token, accepted = make_token()
        environment = {
            **ENVIRONMENT,
            "DATABASE_URL": cluster.service_dsn(*ports),
            "PAYMENTS_TOKENS": accepted,
        }
        apis = [await stack.enter_async_context(ApiProcess.run(environment)) for _ in range(2)]
        hosts = Hosts(cluster, first, tuple(apis), token)
        hosts.ways, hosts.replication, hosts.is_waited_for = (first, second), replication, is_waited_for
        yield hosts


class PrimaryKilled(Fault):
    """The primary's processes are killed, and the standby is promoted."""

    name = "primary killed"
    about = "every process of the primary gets SIGKILL; the standby is promoted"
    side = "database"
    hold_s = (0.0, 0.5)
    deployment: Hosts

    async def inject(self) -> None:
        """Kill it."""
        await self.deployment.cluster.kill()

    async def heal(self) -> None:
        """Promote the standby. What serves again does so by itself."""
        await self.deployment.cluster.promote()
        self.deployment.first_is_primary = not self.deployment.first_is_primary
        self.effects = 1


class PrimarySilent(PrimaryKilled):
    """Nothing reaches the primary any more, and nothing comes from it; it runs on until it is fenced."""

    name = "primary silent"
    about = "every packet to the primary is dropped, the standby's too; it is fenced, the standby is promoted"

    async def inject(self) -> None:
        """Drop what the service sends to it."""
        self.deployment.replication.deaden()
        await self.deployment.primary_way.drop_packets()


class PrimaryKilledAhead(PrimaryKilled):
    """The standby has not heard the last of it."""

    name = "primary killed ahead"
    about = "replication stalls for a second, and then the primary is killed"

    async def inject(self) -> None:
        """Let commits come that do not reach the standby."""
        self.deployment.replication.stalled = True
        await asyncio.sleep(1)
        await super().inject()


async def end_sessions(hosts: Hosts) -> None:
    """Have the service open each of its sessions anew."""
    async with await psycopg.AsyncConnection.connect(hosts.cluster.dsn, autocommit=True) as owner:
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'payments-core'"
        )
