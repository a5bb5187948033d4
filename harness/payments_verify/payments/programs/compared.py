"""Commands to one system, one after the other, each answer compared with the model's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import uuid4

from payments_model import Expire, Outcome, Record, apply
from payments_verify.payments.inputs.classes import SECOND, TWO_FORMS
from payments_verify.payments.inputs.reach import classes_reached
from payments_verify.payments.observed.http_steps import (
    HttpRun,
    HttpStep,
    clock_step,
    step_of,
    unreadable_step,
)
from payments_verify.payments.observed.observations import Invocation, Observation, UnreadableAnswerError
from payments_verify.payments.observed.trace import Trace
from payments_verify.payments.programs.hints import hint_at
from payments_verify.payments.programs.reproduction import Call
from payments_verify.payments.programs.tally import NoMoreProgramsError, Tally
from payments_verify.payments.service.under_test import (
    EndedError,
    ServiceUnderTest,
    SweepError,
    UnansweredError,
)
from payments_verify.payments.specification.broken_invariants import UNANSWERED, UNREADABLE, invariants_broken
from payments_verify.payments.specification.oracle import MismatchError, answer, difference
from payments_verify.payments.specification.transitions import edge_between
from pgweave.history.operations import Operation

_LOOKS_AT_ITS_OWN = 5
"""Every how many steps the process that took one looks at what it has done; odd, so that each does."""


class ComparedCalls:
    """Commands to one system, checked against the model. Subclasses name the system and the runner.

    Attributes:
        reuses_keys: whether a key is used more than once for a payment.
        records: what the model says of each payment that is looked at.
        now: where the clock stands, in µs.
        commands: what was asked, for people.
        http: the same as HTTP.
    """

    system: ServiceUnderTest
    runner: asyncio.Runner
    tally: Tally
    reuses_keys = True

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}
        self.bodies: dict[tuple[str, str], str | None] = {}
        self.trace = Trace()
        self.commands: list[str] = []
        self.http: list[HttpStep] = []
        self._has_failed = False
        self._keys = count()
        self._taken = self._client = 0
        self.tally.begin_example()
        self.now = self.system.traits.instant(self.tally.now)
        self._note("set_clock", now=self.now)
        self._move_clock(self.now)

    def expire(self) -> None:
        """Run the sweep."""
        assert self.system.sweep_batch is not None
        self._note("expire")
        self.commands.append("sweep")
        try:
            self.http.append(HttpStep("sweep", "runs", exchanges=self.runner.run(self.system.sweep())))
        except SweepError as error:
            if self.runner.run(self.system.end()) is None:
                raise
            self._require_answered("a sweep", Observation("unknown", {"error": f"{error}"}))
        self.trace.add("sweep", {}, {})
        for each, record in self.records.items():
            self.records[each], done = apply(record, Expire(), self.now)
            if done.outcome is Outcome.EXPIRED:
                self._count("expire", done.outcome.name.lower())
                self.tally.exercised[edge_between(record, "expire", "expired", self.records[each])] += 1

    def everything_visible_agrees(self) -> None:
        """Every payment, its attempts, and each used key's answer are the model's."""
        for payment in self.records:
            for look in self.system.traits.looks:
                self.perform(look, payment, is_step=False)
        if not self.reuses_keys:
            return
        for payment, key in list(self.bodies):
            attempt = self.records[payment].attempt(key) if payment in self.records else None
            if attempt is not None:
                self.perform(
                    "capture",
                    payment,
                    is_step=False,
                    quotes_key=self.system.traits.quotes_keys,
                    key=key,
                    amount=attempt.amount,
                )

    def surface_agrees(self, *, page_by_page: bool = False) -> None:
        """Raise MismatchError unless lists, from their beginning if wanted, and counters are as answered."""
        if self.system.surface is None or self._has_failed:
            return
        self._note("surface_agrees", **({"page_by_page": True} if page_by_page else {}))
        self.commands.append("look at all that it shows beside outcomes")
        stored = [payment for payment, record in self.records.items() if record.payment is not None]
        complaint = self.runner.run(self.system.complaint_beside(stored, page_by_page=page_by_page))
        if complaint is not None:
            self.http.append(HttpStep("harness", "look at all that it shows beside outcomes", complaint))
            raise self._mismatch(complaint, breaks=frozenset(complaint.partition(":")[0].split(", ")))

    def authorized(self, amount: int, window: int = 60 * SECOND) -> str:
        """Create and authorize a payment."""
        payment, traits = self.new_id(), self.system.traits
        amount = traits.amount(amount)
        for f, asked in traits.opening(payment, amount, traits.window(window)):
            self.perform(f, **asked)
        return payment

    def set_clock(self, now: int) -> None:
        """Set the database's clock, in µs."""
        self._note("set_clock", now=now)
        now = self.system.traits.instant(now)
        back, self.now = self.now - now, now
        self.tally.now = max(self.tally.now, now)
        self.commands.append(f"clock {now}")
        self._move_clock(now)
        if back > 0:
            self.trace.add("clock_back", {"by": back}, {"by": back})
        self.trace.add("clock", {"now": now}, {"now": now})

    def perform(
        self,
        f: str,
        payment: str,
        *,
        is_step: bool = True,
        quotes_key: bool = False,
        **arguments: Any,  # noqa: ANN401
    ) -> None:
        """Send a command and compare the answer with the model's.

        Raises:
            MismatchError: if they differ.
        """
        note = {"quotes_key": True} if quotes_key else {}
        self._note("perform", f=f, payment=payment, is_step=is_step, **note, **arguments)
        traits, before = self.system.traits, self.records.setdefault(payment, self._nothing())
        if f == "capture" and not traits.captures_amounts:
            arguments["amount"] = 1 if before.payment is None else before.payment.amount
        invocation = replace(self.system.invocation(f, payment, arguments), quotes_key=quotes_key)
        self.tally.program += is_step
        self._taken += is_step
        self._client = self._taken if is_step else self._looker()
        if is_step:
            form = ", the key as a quoted string" if quotes_key else ""
            self.commands.append(f"{f} {dict(invocation.value)}{form}")
        self.records[payment], expected = answer(before, invocation, self.now)
        seen = self._send(invocation, expected)
        self._compare(invocation, expected, seen)
        outcome = expected["outcome"] + (" (replayed)" if expected.get("replayed") else "")
        self.tally.exercised[edge_between(before, f, outcome, self.records[payment])] += 1
        self.tally.steps += is_step
        if f == "capture":
            self._count_inputs(invocation, before)
        if is_step:
            self.trace.add(f, invocation.value, seen)
            self._count(f, outcome)

    def refused_as_malformed(self, f: str, payment: str, **arguments: Any) -> None:  # noqa: ANN401
        """Send a command that must be refused as malformed, whatever the state."""
        attempts = self.records.get(payment, self._nothing())
        is_known = f == "capture" and attempts.attempt(arguments["key"]) is not None
        is_another = is_known and self.system.traits.malformed_after_key
        if f == "capture" and self.system.traits.malformed_uses_key and not is_known:
            arguments["key"] = f"no amount {self._taken}"
        self.refused(f, "key_reused" if is_another else "malformed", payment, **arguments)

    def refused(self, f: str, outcome: str, payment: str, **arguments: Any) -> None:  # noqa: ANN401
        """Send a command that must be refused so, whatever the state, and leaves nothing."""
        self._note("refused", f=f, outcome=outcome, payment=payment, **arguments)
        invocation = self.system.invocation(f, payment, arguments)
        self.tally.program += 1
        self._taken += 1
        self._client = self._taken
        self.commands.append(f"{f} {dict(invocation.value)}")
        self._compare(invocation, {"outcome": outcome}, self._send(invocation, {"outcome": outcome}))
        record = self.records.get(payment, self._nothing())
        self.tally.exercised[edge_between(record, f, outcome, record)] += 1
        self.tally.steps += 1
        self._count(f, outcome)

    def drop(self, payments: Iterable[str]) -> None:
        """Use these payments no more, so that they are not looked at again."""
        for payment in payments:
            del self.records[payment]

    def _count_inputs(self, invocation: Invocation, before: Record) -> None:
        payment = invocation.value["payment"]
        others = [record for each, record in self.records.items() if each != payment]
        reached = classes_reached(invocation.value, before, self.records[payment], others, self.now)
        self.tally.inputs.update(reached)
        if invocation.quotes_key and before.attempt(invocation.value["key"]) is not None:
            self.tally.inputs[TWO_FORMS] += 1

    def _looker(self) -> int:
        """Who looks at what a step has done: mostly another process than the one that did it, and at once."""
        return self._taken if self._taken % _LOOKS_AT_ITS_OWN == 0 else self._taken + 1

    def _note(self, method: str, **arguments: Any) -> None:  # noqa: ANN401 - any argument
        self.tally.programs[-1].append(Call(method, arguments))

    def _create(self, amount: int) -> str:
        payment = self.new_id()
        self.perform("create", payment, amount=self.system.traits.amount(amount))
        return payment

    def new_id(self) -> str:
        """An id that no payment has yet."""
        payment = str(uuid4())
        self.records[payment] = self._nothing()
        return payment

    def _nothing(self) -> Record:
        return Record(max_refusals=self.system.traits.max_stored_refusals)

    def _key(self, key: str) -> str:
        return key if self.reuses_keys else f"{key} {next(self._keys)}"

    def _move_clock(self, now: int) -> None:
        self.runner.run(self.system.set_clock(now))
        if self.system.traits.moves_clock:
            self.http.append(clock_step(now))

    def _send(self, invocation: Invocation, expected: Mapping[str, Any]) -> Mapping[str, Any]:
        wanted = self.system.expected_http(invocation.f, self.system.traits.visible(invocation.f, expected))
        try:
            client = self.system.clients[self._client % len(self.system.clients)]
            observed = self.runner.run(client.send(invocation))
        except UnreadableAnswerError as error:
            self.http.append(unreadable_step("client", invocation, error, wanted))
            raise self._mismatch(str(error), breaks=UNREADABLE[invocation.f]) from None
        self.http.append(step_of("client", invocation, observed, expected=wanted))
        asked = f"{invocation.f} {dict(invocation.value)} (the model answers {expected['outcome']})"
        self._require_answered(asked, observed)
        return observed.value

    def _require_answered(self, asked: str, observed: Observation) -> None:
        try:
            self.runner.run(self.system.require_answered(asked, observed))
        except EndedError as ended:
            told = MismatchError(f"{ended}", (), self.commands, http=self._http())
            self.tally.keep_end(told, ended.end)
            raise NoMoreProgramsError from None
        except UnansweredError as unanswered:
            raise self._mismatch(f"{unanswered}", breaks=UNANSWERED) from None

    def _compare(self, invocation: Invocation, expected: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        self.tally.comparisons += 1
        traits = self.system.traits
        visible, shown = traits.visible(invocation.f, expected), traits.visible(invocation.f, seen)
        wrong = difference(visible, shown)
        body = seen.get("body")
        if wrong is None and "decided_at" in expected:
            place = (invocation.value["payment"], invocation.value["key"])
            first = self.bodies.setdefault(place, body)
            wrong = None if first == body else f"body: first answered {first!r}, now {body!r}"
        if wrong is not None:
            self.trace.add(invocation.f, invocation.value, seen)
            hint = hint_at(self.records.get(invocation.value["payment"], self._nothing()), seen, self.now)
            told = f"{invocation.f} {dict(invocation.value)}: {wrong}{hint}"
            breaks = invariants_broken(invocation.f, visible, shown)
            raise self._mismatch(told, self.trace.operations(), breaks)

    def _mismatch(
        self, what: str, operations: Sequence[Operation] = (), breaks: frozenset[str] = frozenset()
    ) -> MismatchError:
        return self.tally.kept(MismatchError(what, operations, self.commands, breaks, self._http()))

    def _http(self) -> HttpRun:
        """What was asked so far, the last of which is wrong."""
        self._has_failed = True
        *before, last = self.http
        return self.system.http_run((*before, replace(last, is_wrong=True)))

    def _count(self, f: str, outcome: str) -> None:
        name = f"{f} -> {outcome}"
        self.tally.outcomes[name] = self.tally.outcomes.get(name, 0) + 1
