"""What each actor of a scenario does, as a process of the scheduler."""

from __future__ import annotations

from dataclasses import dataclass

from payments_verify.payments.inputs.classes import SHARED_KEY
from payments_verify.payments.observed.observations import (
    BREAKS_CONTRACT,
    BrokenContractError,
    Invocation,
    Observation,
    Sender,
    UnreadableAnswerError,
)
from payments_verify.payments.races.serving_again import LOST, NOBODY_LISTENS, WaitForService
from payments_verify.payments.scenarios.catalogue import Actor, Client, Holder, Leaving, Sweeper, Tick
from payments_verify.payments.service.row_holders import RowHolder
from payments_verify.payments.service.under_test import ServiceUnderTest, SetUpError, SweeperEndedError
from pgweave.interleavings.footprint import Access, Footprint, Lock, Mode, Rows
from pgweave.scheduler import Body, Process
from pgweave.service.exchange import exchanges_kept

CLOCK = Rows("clock")
TICK = Footprint.of(Access(Mode.PUBLISH, CLOCK), Access(Mode.LOCK, CLOCK, Lock.UPDATE))
"""A movement of the clock: whoever reads it afterwards sees it, and movements do not change places."""

ANYTHING = Footprint(everything=True)
"""A request that is sent: what a service keeps in its memory is not known, and may decide the answer."""

SENT = " is sent"
"""The end of the label of a step that sends a request."""

_REFUSED_IN = {"pending": "not_authorized", "captured": "already_captured", "failed": "payment_failed"}


@dataclass
class RacedPayments:
    """The payments that are raced for.

    Attributes:
        payments: their ids.
        ends: the end of each one's window, in µs; of one that has none yet, where it would be if it were
            authorized when the race begins.
        now: where the service's clock stands, in µs.
        patience: how often a client sends a command until it has a definite answer.
        holder: a session outside the service, for whoever holds the lock of the first payment from there.
        sends_are_steps: whether sending a request is a step, as where some are answered without a statement.
    """

    payments: tuple[str, ...]
    ends: tuple[int, ...]
    now: int
    patience: int = 1
    holder: RowHolder | None = None
    sends_are_steps: bool = False


def body_of(actor: Actor, service: ServiceUnderTest, raced: RacedPayments) -> Body:
    """What an actor does in a race."""
    match actor:
        case Client():
            return lambda process: _send_commands(process, actor, service, raced)
        case Holder():
            return lambda process: _hold(process, actor.leaving, raced)
        case Tick():
            return lambda process: _tick(process, actor, service, raced)
        case Sweeper():
            return lambda process: _sweep(process, service, raced)


async def send(client: Sender, invocation: Invocation, *, hurt: bool = False) -> Observation:
    """Send a command; an answer that cannot be read is none.

    Args:
        client: sends it.
        invocation: the command.
        hurt: whether something may be broken on purpose; what comes before a command may fail then, too.

    Raises:
        SetUpError: what has to come before it was refused.
    """
    try:
        return await client.send(invocation)
    except SetUpError as error:
        if not (hurt and error.has_failed):
            raise
        return Observation("unknown", {"error": str(error)})
    except UnreadableAnswerError as error:
        breaks = {BREAKS_CONTRACT: True} if isinstance(error, BrokenContractError) else {}
        return Observation("unknown", {"error": str(error), **breaks}, error.exchanges)


async def _send_commands(
    process: Process, actor: Client, service: ServiceUnderTest, raced: RacedPayments
) -> None:
    for command in actor.commands:
        arguments = dict(command.arguments)
        if arguments.get("key") == SHARED_KEY:
            arguments["key"] = f"{SHARED_KEY} {raced.payments[0]}"  # in each run another
        invocation = service.invocation(command.f, raced.payments[command.payment], arguments)
        wait, asked, answers, is_lost = WaitForService(service.end), 0, 0, False
        while answers < raced.patience:
            operation = process.begin(invocation)
            # A process that ends loses the requests of others, too: each client sends again in its turn.
            if raced.sends_are_steps or is_lost:
                await process.point(f"{command.name}{SENT}", ANYTHING)
            # Who has no answer asks the next instance.
            client = service.clients[(command.instance + asked) % len(service.clients)]
            asked += 1
            seen = await _send_to_who_listens(client, invocation, raced, wait)
            process.end(operation, seen)
            if seen.kind != "unknown":
                break
            is_lost = raced.patience > 1 and seen.value.get("error") in LOST
            if is_lost:
                await wait.before_next(seen.value)
            else:
                answers += 1


async def _send_to_who_listens(
    client: Sender, invocation: Invocation, raced: RacedPayments, wait: WaitForService
) -> Observation:
    """Send a command; where a fault may have ended the service's process, until one listens again."""
    while True:
        seen = await send(client, invocation, hurt=raced.patience > 1)
        if raced.patience == 1 or seen.value.get("error") != NOBODY_LISTENS:
            return seen
        await wait.before_next(seen.value)


async def _tick(process: Process, actor: Tick, service: ServiceUnderTest, raced: RacedPayments) -> None:
    target = raced.ends[actor.payment] + actor.offset
    operation = process.begin(Invocation("clock", {"now": target}))
    await process.point(actor.name, TICK)
    # The clock does not go back: a tick to an instant that has passed leaves it where it is.
    raced.now = max(raced.now, target)
    operation.value = Invocation("clock", {"now": raced.now})
    await service.set_clock(raced.now)
    process.end(operation, Observation("ok", {"now": raced.now}))


async def _sweep(process: Process, service: ServiceUnderTest, raced: RacedPayments) -> None:
    """Sweep; again where that fails after something was broken, as a service does that sweeps by itself."""
    assert service.sweep_batch is not None
    for _ in range(raced.patience):
        operation = process.begin(Invocation("sweep", {}))
        try:
            with exchanges_kept() as kept:
                await service.sweep_batch()
        except Exception as error:  # noqa: BLE001 - whatever a sweep raises is its answer, as a request's is
            process.end(operation, Observation("unknown", {"error": f"{type(error).__name__}: {error}"}))
            if isinstance(error, SweeperEndedError):
                break  # nobody begins it again
        else:
            process.end(operation, Observation("ok", {}, tuple(kept)))
            break


async def _hold(process: Process, leaving: Leaving, raced: RacedPayments) -> None:
    # Opened before the race: a new connection takes its time.
    holder = raced.holder
    assert holder is not None
    if leaving is Leaving.VOIDED:
        await _void(process, holder, raced)
    else:
        await _only_hold(process, holder, leaving, raced)


async def _void(process: Process, holder: RowHolder, raced: RacedPayments) -> None:
    operation = process.begin(Invocation("fail", {"payment": raced.payments[0], "reason": "voided"}))
    state = await holder.lock(raced.payments[0])
    voided = await holder.void()
    await holder.commit()
    if voided:
        process.end(operation, Observation("ok", {"outcome": "failed"}))
    else:
        process.end(operation, Observation("fail", {"outcome": _REFUSED_IN[state]}))


async def _only_hold(process: Process, holder: RowHolder, leaving: Leaving, raced: RacedPayments) -> None:
    locking = process.begin(Invocation("lock", {"payment": raced.payments[0]}))
    await holder.lock(raced.payments[0])
    if leaving is Leaving.ROLLED_BACK:
        await holder.void()
    process.end(locking, Observation("ok", {}))
    unlocking = process.begin(Invocation("unlock", {"payment": raced.payments[0]}))
    await (holder.commit() if leaving is Leaving.ONLY_LOCKED else holder.roll_back())
    process.end(unlocking, Observation("ok", {}))
