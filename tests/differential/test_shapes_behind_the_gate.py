"""Services of other shapes behind the gate: what is otherwise is no reason to accuse or to spare them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from payments_core.infrastructure.postgres.connection import Connection
from payments_core.infrastructure.postgres.pool import Pool
from payments_verify.payments.exploration.scenario import explore_scenario
from payments_verify.payments.faults import disconnects
from payments_verify.payments.faults.disconnects import DisconnectReport, explore_disconnects
from payments_verify.payments.faults.exploration import explore_fault
from payments_verify.payments.faults.hang_ups import hang_ups, never_hung_up
from payments_verify.payments.faults.pool_probe import PoolProbe
from payments_verify.payments.observed.observations import (
    Invocation,
    Observation,
    Sender,
    UnreadableAnswerError,
    answered_as,
)
from payments_verify.payments.observed.traits import COMMANDS, EVERYTHING, Traits
from payments_verify.payments.scenarios.catalogue import AMOUNT, SCENARIOS
from payments_verify.payments.scenarios.named import NAMED, SINGLE
from payments_verify.payments.service.row_holders import RowStatements, SqlRowHolder
from payments_verify.payments.service.under_test import ServiceUnderTest
from payments_verify.systems import background, gated
from payments_verify.systems.background import habits_of
from pgweave.gate import Fault
from pgweave.interleavings.source_dpor import SourceDPOR
from pgweave.service.command import CommandError
from tests.differential.test_disconnects import STATEMENTS
from tests.support.exploring import run

_HOLDS = replace(
    EVERYTHING,
    creates_authorized=True,
    commands=COMMANDS - {"authorize"},
    shown=frozenset({"fail", "read"}),
)
SHAPES = {
    "ids of the service": replace(_HOLDS, chooses_ids=False, reasons=("declined",)),
    "ids of the client": replace(_HOLDS, captures_amounts=False, min_amount=AMOUNT, finds_unknown=False),
}


@dataclass(frozen=True)
class Shaped:
    """Our own service as a client of one of another shape meets it: it refuses what such a one refuses."""

    client: Sender
    traits: Traits

    async def send(self, invocation: Invocation) -> Observation:
        f, asked = invocation.f, dict(invocation.value)
        if f not in self.traits.commands:
            raise UnreadableAnswerError(f"the binding has no command {f!r}")
        if f == "fail" and asked["reason"] not in self.traits.reasons:
            return answered_as("malformed")
        if f == "create" and asked["amount"] < self.traits.min_amount:
            return answered_as("malformed")
        if f == "capture" and not self.traits.captures_amounts:
            asked["amount"] = AMOUNT
        window = asked.pop("window") if f == "create" and self.traits.creates_authorized else None
        seen = await self.client.send(Invocation(f, asked))
        if window is not None and seen.kind == "ok":
            authorized = await self.client.send(
                Invocation("authorize", {"payment": asked["payment"], "window": window})
            )
            return authorized if authorized.kind == "unknown" else answered_as(seen.value["outcome"])
        if not self.traits.finds_unknown and seen.value.get("outcome") == "not_found":
            raise UnreadableAnswerError("404 is no answer of the binding")
        return seen


@dataclass(frozen=True)
class Silent(Shaped):
    """It answers no creation."""

    async def send(self, invocation: Invocation) -> Observation:
        if invocation.f == "create":
            await asyncio.Event().wait()
        return await super().send(invocation)


@asynccontextmanager
async def shaped(dsn: str, traits: Traits) -> AsyncIterator[ServiceUnderTest]:
    async with gated(dsn) as service:
        yield replace(service, clients=(Shaped(service.client, traits),), traits=traits)


def walked(dsn: str, shape: str) -> list[DisconnectReport]:
    found: list[DisconnectReport] = []

    async def main() -> None:
        async with shaped(dsn, SHAPES[shape]) as service:
            await explore_disconnects(service, found.append)

    run(main())
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_clients_hang_up_in_each_command_that_it_has(dsn: str, shape: str) -> None:
    found = walked(dsn, shape)
    assert [each.told for each in found] == [None] * len(found)
    assert [each.command for each in found] == list(hang_ups(SHAPES[shape]))
    assert {"create", "capture", "repeated capture", "void", "read"} <= {each.command for each in found}


def test_a_connection_that_is_lost_is_missed(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give_back = Pool.give_back

    async def lose(pool: Pool, connection: Connection) -> None:
        task = asyncio.current_task()
        if task is not None and task.cancelling() and connection.pgconn.transaction_status:
            connection.abandon()
        else:
            await give_back(pool, connection)

    monkeypatch.setattr(Pool, "give_back", lose)
    monkeypatch.setattr(disconnects, "PoolProbe", partial(PoolProbe, limit_s=1.0))
    assert walked(dsn, "ids of the service")[-1].verdict == "violated"


def test_without_a_lock_to_hold_no_client_waits_for_it(dsn: str) -> None:
    found: list[DisconnectReport] = []

    async def main() -> None:
        async with gated(dsn) as service:
            traits = replace(EVERYTHING, commands=COMMANDS - {"fail", "attempts"})
            await explore_disconnects(replace(service, open_row_holder=None, traits=traits), found.append)

    run(main())
    assert {each.command: each.places for each in found}["capture"] == STATEMENTS["capture"] + 1


def test_a_request_that_goes_on_no_more_is_no_end_of_its_statements(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disconnects, "_ENDED_LIMIT_S", 0.3)
    found: list[DisconnectReport] = []

    async def main() -> None:
        async with gated(dsn) as service:
            probe = PoolProbe(service)
            await probe.measure()
            silent = Silent(service.client, EVERYTHING)
            await explore_disconnects(replace(service, clients=(silent,)), found.append, probe=probe)

    run(main())
    (report,) = found
    assert "I9: create had 0 statements, and then no other and no definite answer" in str(report.told)


@dataclass
class _SaysSo:
    """It answers as a success, without a look, what was asked again because it got no answer."""

    client: Sender
    lies: bool
    unanswered: bool = False

    async def send(self, invocation: Invocation) -> Observation:
        if self.lies and self.unanswered and invocation.f in _SUCCESSES:
            self.unanswered = False
            return answered_as(_SUCCESSES[invocation.f])
        seen = await self.client.send(invocation)
        self.unanswered = seen.kind == "unknown"
        return seen


_SUCCESSES = {"create": "created", "authorize": "authorized", "fail": "failed"}


@pytest.mark.parametrize(
    ("scenario", "lies", "verdict"),
    [
        ("one-create", True, "violated"),
        ("one-authorize", True, "violated"),
        ("one-void", True, "violated"),
        ("one-void", False, "holds"),
        ("one-sweep", False, "holds"),
    ],
)
def test_each_command_is_hurt_alone(dsn: str, scenario: str, lies: bool, verdict: str) -> None:
    async def main() -> str:
        async with gated(dsn) as service:
            saying = _SaysSo(service.client, lies)
            changed = replace(service, clients=(saying,), traits=EVERYTHING)
            return (await explore_fault(NAMED[scenario], Fault.CUT_BEFORE, changed)).verdict

    assert scenario in {each.name for each in SINGLE}
    assert run(main()) == verdict


@pytest.mark.parametrize(
    ("lock", "told"),
    [
        ("SELECT state FROM payments WHERE payment_id = %s AND false", "lock.hold gives no row of payment"),
        ("SELECT state FROM payment WHERE payment_id = %s", 'lock.hold cannot be run: relation "payment"'),
        ("UPDATE payments SET amount_cents = 1 WHERE payment_id = %s", "lock.hold cannot be run: "),
    ],
)
def test_a_lock_that_cannot_be_held_is_said(dsn: str, lock: str, told: str) -> None:
    async def main() -> None:
        async with SqlRowHolder.connect(dsn, RowStatements(lock)) as holder:
            await holder.lock(str(uuid4()))

    with pytest.raises(CommandError, match=re.escape(told)):
        run(main())


def test_what_no_client_hangs_up_in_is_said() -> None:
    told = list(never_hung_up(replace(_HOLDS, captures_amounts=False)))
    assert told == [
        "clients that hang up in authorize (level 5): the binding lacks commands.authorize",
        "clients that hang up in refused capture (level 5): the binding lacks {amount} in commands.capture",
    ]
    assert not list(never_hung_up(EVERYTHING))


def test_a_void_has_a_reason_that_it_takes(dsn: str, tmp_path: Path) -> None:
    async def main() -> str | None:
        async with shaped(dsn, SHAPES["ids of the service"]) as service:
            found = await explore_scenario(SCENARIOS["capture-and-void"], service, SourceDPOR, tmp_path)
            return found.problem or found.verdict

    assert run(main()) == "holds"


def test_a_creation_that_authorizes_is_asked_with_its_window_before_everything(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_WATCHED_S", 0.1)
    habits = habits_of(partial(shaped, dsn, _HOLDS))
    assert habits.why_not_followed is None


def measured(dsn: str, *, captures: bool) -> PoolProbe:
    """The connections of a service whose reads are answered in memory; and its captures, if they are not."""

    @dataclass(frozen=True)
    class InMemory:
        client: Sender

        async def send(self, invocation: Invocation) -> Observation:
            if invocation.f == "read" or not captures:
                return answered_as("not_found")
            return await self.client.send(invocation)

    async def main() -> PoolProbe:
        async with gated(dsn) as service:
            probe = PoolProbe(replace(service, clients=(InMemory(service.client),)))
            await probe.measure()
            assert await probe.problem() is None
            return probe

    measured_probe: Any = run(main())
    assert isinstance(measured_probe, PoolProbe)
    return measured_probe


def test_captures_are_counted_where_they_come_to_connections_that_reads_do_not(dsn: str) -> None:
    assert [(each.name, each.connections) for each in measured(dsn, captures=True).groups] == [
        ("capture", 16)
    ]
    assert measured(dsn, captures=False).groups == []
