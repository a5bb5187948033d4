"""Faults that did not come to their beginning are put right and put away all the same."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest

from payments_verify.nemesis.catalog import FAULTS
from payments_verify.nemesis.deployment import Deployment
from payments_verify.nemesis.fault import Fault


class Cluster:
    """A database that cannot be reached at first."""

    def __init__(self) -> None:
        self.is_down = True
        self.executed: list[bytes] = []

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Cluster]:
        if self.is_down:
            raise psycopg.OperationalError("it is down")
        yield self

    async def execute(self, statement: bytes) -> None:
        self.executed.append(statement)

    async def drop_standby(self) -> None:
        self.executed.append(b"drop the standby")


def fault_at(name: str, cluster: Cluster) -> Fault:
    deployment = cast("Deployment", SimpleNamespace(cluster=cluster))
    return FAULTS[name](deployment, random.Random(1))


@pytest.mark.parametrize("name", ["failover", "failover behind"])
def test_a_failover_that_never_began_is_put_away(name: str) -> None:
    cluster = Cluster()
    assert asyncio.run(fault_at(name, cluster).clear()) is False
    assert cluster.executed == [b"drop the standby"]


@pytest.mark.parametrize("name", ["40001", "40P01", "57014"])
def test_triggers_that_could_not_be_armed_are_disarmed(name: str) -> None:
    cluster = Cluster()
    fault = fault_at(name, cluster)
    with pytest.raises(psycopg.OperationalError):
        asyncio.run(fault.inject())
    cluster.is_down = False
    asyncio.run(fault.heal())
    assert cluster.executed == [b"SELECT setval('nemesis.armed', 0)"]
    assert fault.effects == 0


class Api:
    """A process that ends in its own way once it is told to."""

    def __init__(self, code: int) -> None:
        self._code = code
        self.signals: list[signal.Signals] = []

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)

    async def ended(self) -> int:
        return self._code


@pytest.mark.parametrize("code", [0, 1, -signal.SIGKILL])
def test_a_process_that_is_told_to_end_and_ends_otherwise_is_a_finding(code: int) -> None:
    api = Api(code)
    fault = FAULTS["API terminated"](cast("Deployment", SimpleNamespace(apis=[api])), random.Random(1))
    asyncio.run(fault.inject())
    assert (fault.effects, api.signals) == (1, [signal.SIGTERM])
    assert [f"ended with {code}" in each and each.startswith("I9: ") for each in fault.findings] == (
        [True] if code else []
    )
