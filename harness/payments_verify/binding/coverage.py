"""What a binding lets the harness check of a service, and what not: nothing is left out in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from payments_verify.binding.sections import Binding, Sweep
from payments_verify.binding.values import MICROSECONDS, read_rfc3339
from payments_verify.payments.inputs.classes import (
    CLOCK_STAYS,
    EPOCH,
    LONG_AGO,
    MANY_REFUSALS,
    WHOLE_SECONDS,
    left_out,
)
from payments_verify.payments.observed.observations import PAYMENT_FIELDS
from payments_verify.payments.observed.traits import ATTEMPT_FIELDS, Traits
from payments_verify.payments.scenarios.catalogue import (
    AMOUNT,
    CREATE,
    Actor,
    Client,
    Command,
    Holder,
    Leaving,
    Prepared,
    Scenario,
    Sweeper,
    Tick,
)

_SECOND = 1_000_000
_FLAGS = re.compile(r"\A(\(\?[aiLmsux]+\))?")


def traits_of(binding: Binding, *, moves_clock: bool) -> Traits:
    """What can be asked of a service with a binding, and seen.

    Args:
        binding: the service's interface.
        moves_clock: whether the harness moves the service's clock.
    """
    view, attempts, limits = binding.payment, binding.attempts, binding.limits
    fixed = None if limits.fixed_window_seconds is None else limits.fixed_window_seconds * _SECOND
    fields = {name for name in PAYMENT_FIELDS if getattr(view, name) is not None}
    stored = {name for name in ATTEMPT_FIELDS if attempts is not None and getattr(attempts, name) is not None}
    fail = binding.commands.get("fail")
    # Over HTTP or as SQL it takes no time; a command takes a process each time.
    sweep = binding.sweep or Sweep()
    return Traits(
        commands=frozenset(binding.commands),
        shown=frozenset(f for f, command in binding.commands.items() if command.shows_payment),
        payment_fields=frozenset(fields),
        attempt_fields=frozenset(stored),
        as_of=view.as_of is not None,
        replayed=binding.capture.replayed is not None,
        decided_at=bool(binding.capture.decided_at),
        dates_refusals=binding.capture.refusals_are_dated,
        moves_clock=moves_clock,
        sweeps=sweep.ways > 0 and sweep.command is None,
        expires_within_s=sweep.within,
        chooses_ids=binding.ids.chosen_by == "client",
        finds_unknown=all("not_found" in binding.outcomes_of(f) for f in binding.commands if f != "create"),
        reasons=tuple(fail.reasons) if fail is not None else ("voided",),
        malformed=binding.malformed_amounts,
        min_amount=limits.min_amount,
        max_amount=limits.max_amount,
        max_window=limits.max_window_seconds * _SECOND if fixed is None else fixed,
        fixed_window=fixed,
        window_unit=MICROSECONDS[binding.values.window],
        max_stored_refusals=limits.max_stored_refusals,
        keys=_keys_of(binding),
        has_windows=binding.has_windows,
        captures_amounts=binding.captures_amounts,
        partial_captures=limits.partial_captures,
        malformed_after_key=limits.malformed_after_key,
        malformed_uses_key=limits.malformed_uses_key,
        since=EPOCH,
        until=None if binding.clock.until is None else read_rfc3339(binding.clock.until),
        resolution=MICROSECONDS[binding.clock.resolution],
        lease=0 if binding.in_progress is None else round(binding.in_progress.lease * _SECOND),
        keys_of_account=binding.keys.scope == "account",
        creates_authorized=binding.commands["create"].authorizes,
        fails_pending=fail is not None and fail.from_pending,
        quotes_keys=binding.values.key == "quoted text",
    )


def _keys_of(binding: Binding) -> str | None:
    """A regular expression of the keys that are sent; ``None`` where they are not sent as they are."""
    if binding.key_form is not None:
        return None
    keys, path = binding.limits.keys, binding.commands["capture"].path.partition("?")[0]
    if "{key}" not in path.split("/"):
        return keys
    # Clients of HTTP take such a segment out of a path, also where it is escaped.
    return _FLAGS.sub(r"\g<0>(?!\.\.?\\Z)(?:", keys, count=1) + ")"


def unchecked(binding: Binding, traits: Traits, *, has_database: bool) -> Iterator[str]:
    """What is not checked of a service, and why, for people."""
    yield from _unchecked_commands(binding, traits)
    missing = sorted(set(PAYMENT_FIELDS) - traits.payment_fields)
    if missing:
        yield f"payment fields that the binding does not name: {', '.join(missing)}"
    if "attempts" in traits.commands and ATTEMPT_FIELDS - traits.attempt_fields:
        hidden = ", ".join(sorted(ATTEMPT_FIELDS - traits.attempt_fields))
        yield f"fields of stored attempts that the binding does not name: {hidden}"
    if not traits.as_of:
        yield "payment.as_of: reads do not say when they looked, so they bear no witness to the time rule"
    if not traits.replayed:
        yield "capture.replayed: that a repeated answer says that it is one"
    if not traits.decided_at:
        yield "capture.decided_at: the instant of a capture's decision"
    elif not traits.dates_refusals:
        yield "capture.refusals_are_dated: the instant at which a capture was refused"
    if binding.capture.body != "same bytes":
        yield "capture.body: that a repeated answer has the same bytes"
    yield from _unchecked_amounts(traits)
    yield from _unchecked_time(binding, traits, has_database=has_database)
    for why in sorted(set(left_out(traits).values()) - {CLOCK_STAYS, MANY_REFUSALS, WHOLE_SECONDS, LONG_AGO}):
        names = ", ".join(name for name, each in left_out(traits).items() if each == why)
        yield f"{why}: classes of inputs that this leaves out: {names}"


def _unchecked_commands(binding: Binding, traits: Traits) -> Iterator[str]:
    if "fail" not in traits.commands:
        yield "commands.fail: declining and voiding"
    elif len(traits.reasons) < 2:
        yield f"commands.fail.reasons: reasons but {traits.reasons[0]}"
    if traits.fails_pending and traits.dates_authorizations:
        yield "commands.fail.from_pending: the window of a failed payment, which may have had none"
    if "attempts" not in traits.commands:
        yield "commands.attempts: what is stored under each key"
    if not traits.chooses_ids:
        yield "ids.chosen_by: creating again under an id that is taken"
    if not traits.malformed:
        yield "outcome malformed: no answer stands for it, so amounts that are none are not sent"
    if not traits.finds_unknown:
        yield "outcome not_found: not every command answers it, so unknown payments are not asked for"
    own = [(f"commands.{f}", answer) for f, each in binding.commands.items() for answer in each.answers]
    for where, answer in [*own, *(("answers", answer) for answer in binding.answers)]:
        if len(answer.outcomes) > 1:
            yield f"{where}: {', '.join(answer.outcomes)} are one answer, and not told apart"


def _unchecked_amounts(traits: Traits) -> Iterator[str]:
    if not traits.captures_amounts:
        yield "commands.capture names no {amount}: that a capture of another amount is refused"
    elif traits.partial_captures:
        yield "limits.partial_captures: captures of less than was authorized"
    if traits.malformed_uses_key:
        yield "limits.malformed_uses_key: that a key is still free after a malformed capture"


def _unchecked_time(binding: Binding, traits: Traits, *, has_database: bool) -> Iterator[str]:
    if not traits.has_windows:
        yield "no {window} in what authorizes: that a capture is refused once a window has ended"
    elif not traits.ends_windows:
        yield (
            "limits.fixed_window_seconds: the clock cannot be moved, and the window is not waited for: that a"
            " capture is refused once it has ended, and what expires then; instants are not compared with the"
            " model's"
        )
    elif not traits.moves_clock:
        yield (
            "the clock cannot be moved: windows are tested by waiting, not in their last µs, and instants are"
            " not compared with the model's"
        )
    if binding.sweep is None:
        yield "sweep: expiring payments whose window has ended"
    elif binding.sweep.ways and binding.sweep.request is None and not has_database:
        yield "sweep: expiring payments; over --url it needs sweep.request"
    if binding.lock is None:
        yield "lock.hold: captures that wait for a lock that is held outside the service"
    elif not has_database:
        yield "lock.hold: captures that wait for a lock that is held outside the service; it needs --command"


def why_not(scenario: Scenario, binding: Binding, traits: Traits) -> str | None:
    """Why a scenario cannot be run on a service; ``None`` if it can."""
    if scenario.actors == (Client((CREATE,)),) and scenario.prepared is Prepared.NOTHING:
        return None  # whoever chooses ids: of payments that are created again nobody asks but for the last
    for actor in (*scenario.actors, *scenario.further):
        lacks = _lacks_for(actor, binding, traits)
        if lacks is not None:
            return lacks
    if scenario.waited and not traits.moves_clock:
        return "clock"
    return _lacks_for_preparing(scenario, traits)


def _lacks_for(actor: Actor | Command, binding: Binding, traits: Traits) -> str | None:
    match actor:
        case Command():
            return _lacks_for_sending((actor,), traits)
        case Client():
            return _lacks_for_sending(actor.commands, traits)
        case Holder():
            return _lacks_for_holding(actor, binding)
        case Tick():
            return None if traits.moves_clock else "clock"
        case Sweeper():
            return _lacks_for_sweeping(traits)


def _lacks_for_sending(commands: Sequence[Command], traits: Traits) -> str | None:
    captured = {each.arguments["amount"] for each in commands if each.f == "capture"}
    if captured - {AMOUNT} and not traits.captures_amounts:
        return "{amount} in commands.capture"
    if not traits.chooses_ids and any(each.f == "create" for each in commands):
        return "ids.chosen_by = 'client'"
    lacking = {command.f for command in commands} - traits.commands
    return f"commands.{min(lacking)}" if lacking else None


def _lacks_for_sweeping(traits: Traits) -> str | None:
    if not traits.sweeps:
        return "sweep.request or sweep.sql: a command needs an unknown time to start"
    if "fail" not in traits.commands:
        return "commands.fail, to clear away what a sweep could find"
    return None


def _lacks_for_holding(actor: Holder, binding: Binding) -> str | None:
    if binding.lock is None:
        return "lock.hold"
    if binding.lock.void is None and actor.leaving is not Leaving.ONLY_LOCKED:
        return "lock.void"
    return None


def _lacks_for_preparing(scenario: Scenario, traits: Traits) -> str | None:
    if scenario.prepared is Prepared.CREATED and traits.creates_authorized:
        return "commands.authorize"
    if scenario.prepared is Prepared.NOTHING and not traits.chooses_ids:
        return "ids.chosen_by = 'client'"
    return None
