"""One stateful machine for every system: Hypothesis draws commands, the model says what each must answer.

After every step everything that can be seen of the payments is compared with the model: each payment, its
stored attempts, and the bytes that each used key repeats.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as use_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky, FlakyFailure
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payments_model import MAX_AMOUNT, Authorized, Expire, Outcome, Record, apply
from payments_verify.payments.observations import (
    Invocation,
    Observation,
    UnreadableAnswerError,
    attempts_of,
    outcomes_in,
)
from payments_verify.payments.oracle import MismatchError, answer, difference
from payments_verify.payments.reproduction import Call, Program
from payments_verify.payments.service_under_test import (
    EndedError,
    ServiceUnderTest,
    SweepError,
    UnansweredError,
)
from payments_verify.payments.trace import Trace
from payments_verify.payments.traits import EVERYTHING, Traits
from payments_verify.payments.transitions import transition
from payments_verify.result import Progress
from pgweave.history.operations import Operation
from pgweave.service.end import End

EPOCH = 1_900_000_000_000_000
"""Where the database's clock stands when an example begins, in µs (the year 2030)."""

SHRINKING_LIMIT_S = 45.0
"""How long a mismatch is made smaller, in seconds; what is smallest then is told."""

_SECOND = 1_000_000
_BY_ITSELF = (
    "\nThe payment is due, and no sweep was asked for. A service that expires payments by itself says within"
    " how long: sweep.within in its binding. Its windows are then waited for."
)
_LATEST_BEGIN = EPOCH + 100 * 365 * 86_400 * _SECOND  # the clock can be set up to the year 2255
AMOUNTS = st.sampled_from([1, 500, 501, MAX_AMOUNT])
_MALFORMED_AMOUNTS = st.sampled_from(EVERYTHING.malformed)
KEYS = st.sampled_from(["k1", "k2", "K1", "k 1"])
_WINDOWS = st.sampled_from([1, 2, 60, 2_678_400]).map(lambda seconds: seconds * _SECOND)
PAYMENTS = 3  # as many as an example uses at a time, because each step looks at all of them
# Around the end of a window, or not there: if the clock always went there, no window would stay open.
_AROUND = st.sampled_from([None, None, None, -1, 0, 1])
REASONS = st.sampled_from(["declined", "voided"])


class NoMoreProgramsError(BaseException):
    """A mismatch is small enough, or the service has ended; Hypothesis would go on after an ``Exception``."""


@dataclass
class Tally:
    """How much a run has exercised.

    Attributes:
        examples: programs run.
        steps: commands sent by rules.
        comparisons: answers compared with the model's, those of the checks after each step included.
        outcomes: how often each command had each outcome.
        exercised: how often each transition of the model was taken.
        on_example: called when a program begins.
        began: when the run began, on this process's monotonic clock, in seconds.
        program: commands of the program that is run, or was run last: the shortest, once one has failed.
        first: programs and seconds up to the first mismatch; ``None`` without one.
        smallest: the mismatch of the shortest program so far; ``None`` without one.
        size: commands of that program.
        ended: what the last program had asked when the service was ended; ``None`` if it was not.
        programs: every program's calls, in their order.
        smallest_at: which of them that program is.
        now: where the clock stands; it does not go back from one program to the next.
    """

    examples: int = 0
    steps: int = 0
    comparisons: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    exercised: Counter[str] = field(default_factory=Counter)
    on_example: Callable[[], None] = lambda: None
    began: float = field(default_factory=time.monotonic)
    program: int = 0
    first: tuple[int, float] | None = None
    smallest: MismatchError | None = None
    size: int = 0
    ended: MismatchError | None = None
    programs: list[list[Call]] = field(default_factory=list)
    smallest_at: int = 0
    now: int = EPOCH

    def begin_example(self) -> None:
        """Count a program that begins.

        Raises:
            NoMoreProgramsError: it would make a mismatch smaller, and the time for that is over.
        """
        if self.first is not None and time.monotonic() - self.began > self.first[1] + SHRINKING_LIMIT_S:
            raise NoMoreProgramsError
        self.examples += 1
        self.program = 0
        self.programs.append([])
        if self.now > _LATEST_BEGIN:
            self.now = EPOCH
        self.on_example()

    def kept(self, mismatch: MismatchError) -> MismatchError:
        """A mismatch, to be raised: the smallest is known from now on, and when the first came."""
        self.first = self.first or (self.examples, time.monotonic() - self.began)
        if self.smallest is None or self.program <= self.size:
            self.smallest, self.size, self.smallest_at = mismatch, self.program, len(self.programs) - 1
        return mismatch

    def keep_end(self, mismatch: MismatchError, end: End) -> None:
        """Note what was asked when the service ended: a mismatch if that is its own doing."""
        mismatch.add_note("what was asked until then:\n  " + "\n  ".join(mismatch.commands))
        if end.is_its_own and self.smallest is None:
            self.kept(mismatch)
        else:
            self.ended = mismatch


def _where(has: Callable[[Traits], bool]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Only for a service that has what the rule needs."""
    return precondition(lambda machine: has(machine.system.traits))


class PaymentMachine(RuleBasedStateMachine):
    """Commands to one system, checked against the model. Subclasses name the system and the runner.

    Attributes:
        reuses_keys: whether a key is used more than once for a payment.
    """

    system: ServiceUnderTest
    runner: asyncio.Runner
    tally: Tally
    reuses_keys = True

    payments = Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}
        self.bodies: dict[tuple[str, str], str] = {}
        self.trace = Trace()
        self.commands: list[str] = []
        self._keys = count()
        self.tally.begin_example()
        self.now = self.tally.now
        self._note("set_clock", now=self.now)
        self.runner.run(self.system.set_clock(self.now))

    @initialize(target=payments, amount=AMOUNTS)
    def first_payment(self, amount: int) -> str:
        """Create and authorize a payment, so that every example has one to capture."""
        return self.authorized(amount)

    @precondition(lambda self: len(self.records) < PAYMENTS)
    @rule(target=payments, amount=AMOUNTS)
    def create(self, amount: int) -> str:
        """Create a payment under a new id."""
        return self._create(amount)

    @_where(lambda traits: traits.chooses_ids)
    @rule(payment=payments, amount=AMOUNTS)
    def create_again(self, payment: str, amount: int) -> None:
        """Create under an id that is taken."""
        self.perform("create", payment, amount=min(amount, self.system.traits.max_amount))

    @rule(payment=payments, window=_WINDOWS)
    def authorize(self, payment: str, window: int) -> None:
        """Authorize."""
        self.perform("authorize", payment, window=self.system.traits.window(window))

    @rule(payment=payments, key=KEYS)
    def capture(self, payment: str, key: str) -> None:
        """Capture the authorized amount."""
        stored = self.records[payment].payment
        assert stored is not None
        self.perform("capture", payment, key=self._key(key), amount=stored.amount)

    @rule(payment=payments, key=KEYS)
    def capture_another_amount(self, payment: str, key: str) -> None:
        """Capture an amount that is not the authorized one."""
        stored = self.records[payment].payment
        assert stored is not None
        amount = stored.amount % self.system.traits.max_amount + 1
        self.perform("capture", payment, key=self._key(key), amount=amount)

    @precondition(lambda self: self.reuses_keys)
    @rule(data=st.data(), payment=payments, other_amount=st.booleans())
    def capture_again(self, data: st.DataObject, payment: str, other_amount: bool) -> None:
        """Use a key that has been used: for the same request, or for another."""
        attempts = attempts_of(self.records[payment])
        if attempts:
            used = data.draw(st.sampled_from(attempts))
            another = used["amount"] % self.system.traits.max_amount + 1
            amount = another if other_amount else used["amount"]
            self.perform("capture", payment, key=used["key"], amount=amount)

    @_where(lambda traits: "fail" in traits.commands)
    @rule(payment=payments, reason=REASONS)
    def fail(self, payment: str, reason: str) -> None:
        """Decline or void."""
        self.perform("fail", payment, reason=self.system.traits.reason(reason))

    @rule(payment=payments, key=KEYS, amount=_MALFORMED_AMOUNTS)
    def malformed(self, payment: str, key: str, amount: Any) -> None:  # noqa: ANN401 - anything
        """What is no amount is neither captured nor created: refused, and nothing is stored."""
        traits = self.system.traits
        if traits.is_malformed(amount):
            self.refused_as_malformed("capture", payment, key=self._key(key), amount=amount)
            if traits.chooses_ids:
                self.refused_as_malformed("create", str(uuid4()), amount=amount)

    @_where(lambda traits: traits.finds_unknown)
    @rule(key=KEYS)
    def unknown_payment(self, key: str) -> None:
        """No command finds a payment that was never created."""
        unknown = str(uuid4())
        self.records[unknown] = self._nothing()
        traits = self.system.traits
        self.perform("capture", unknown, key=key, amount=1)
        self.perform("authorize", unknown, window=traits.window(_SECOND))
        if "fail" in traits.commands:
            self.perform("fail", unknown, reason=traits.reason("voided"))
        for look in traits.looks:
            self.perform(look, unknown)
        del self.records[unknown]

    @rule(payment=consumes(payments))
    def forget(self, payment: str) -> None:
        """Use the payment no more, to keep the checks after each step few."""
        del self.records[payment]

    @_where(lambda traits: traits.moves_clock)
    @rule(step=st.integers(1, 20 * _SECOND))
    def let_time_pass(self, step: int) -> None:
        """Move the database's clock on."""
        self.set_clock(self.now + step)

    def move_to_the_end_of_the_window(self, payment: str, offset: int | None) -> None:
        """Move the clock to the window's last µs, its end, or 1 µs after, if that lies ahead."""
        stored = self.records[payment].payment
        if offset is None or not isinstance(stored, Authorized):
            return
        if stored.capture_expires_at + offset >= self.now:
            self.set_clock(stored.capture_expires_at + offset)

    @_where(lambda traits: traits.moves_clock)
    @rule(payment=payments, key=KEYS, offset=_AROUND)
    def capture_at_the_end_of_the_window(self, payment: str, key: str, offset: int | None) -> None:
        """Capture in the window's last µs, at its end, or 1 µs after."""
        self.move_to_the_end_of_the_window(payment, offset)
        self.capture(payment, key)

    @_where(lambda traits: traits.sweeps and traits.moves_clock)
    @rule(payment=payments, offset=_AROUND)
    def sweep(self, payment: str, offset: int | None) -> None:
        """Expire everything that is due, around the end of a window."""
        self.move_to_the_end_of_the_window(payment, offset)
        self.expire()

    def expire(self) -> None:
        """Run the sweep."""
        assert self.system.sweep_batch is not None
        self._note("expire")
        self.commands.append("sweep")
        try:
            self.runner.run(self.system.sweep())
        except SweepError as error:
            if self.runner.run(self.system.end()) is None:
                raise
            self._require_answered("a sweep", Observation("unknown", {"error": f"{error}"}))
        self.trace.add("sweep", {}, {})
        for each, record in self.records.items():
            self.records[each], done = apply(record, Expire(), self.now)
            if done.outcome is Outcome.EXPIRED:
                self._count("expire", done.outcome.name.lower())
                self.tally.exercised[transition(record, "expire", "expired", self.records[each])] += 1

    @invariant()
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
                self.perform("capture", payment, is_step=False, key=key, amount=attempt.amount)

    def authorized(self, amount: int) -> str:
        """Create and authorize a payment."""
        payment = self._create(amount)
        self.perform("authorize", payment, window=self.system.traits.window(60 * _SECOND))
        return payment

    def set_clock(self, now: int) -> None:
        """Set the database's clock, in µs."""
        self._note("set_clock", now=now)
        self.now = self.tally.now = now
        self.commands.append(f"clock {now}")
        self.runner.run(self.system.set_clock(now))
        self.trace.add("clock", {"now": now}, {"now": now})

    def perform(self, f: str, payment: str, *, is_step: bool = True, **arguments: Any) -> None:  # noqa: ANN401
        """Send a command and compare the answer with the model's.

        Raises:
            MismatchError: if they differ.
        """
        self._note("perform", f=f, payment=payment, is_step=is_step, **arguments)
        invocation = Invocation(f, {"payment": payment, **arguments})
        self.tally.program += is_step
        if is_step:
            self.commands.append(f"{f} {dict(invocation.value)}")
        before = self.records.setdefault(payment, Record())
        self.records[payment], expected = answer(before, invocation, self.now)
        seen = self._send(invocation)
        self._compare(invocation, expected, seen)
        outcome = expected["outcome"] + (" (replayed)" if expected.get("replayed") else "")
        self.tally.exercised[transition(before, f, outcome, self.records[payment])] += 1
        self.tally.steps += is_step
        if is_step:
            self.trace.add(f, invocation.value, seen)
            self._count(f, outcome)

    def refused_as_malformed(self, f: str, payment: str, **arguments: Any) -> None:  # noqa: ANN401
        """Send a command that must be refused as malformed, whatever the state."""
        self._note("refused_as_malformed", f=f, payment=payment, **arguments)
        invocation = Invocation(f, {"payment": payment, **arguments})
        self.tally.program += 1
        self.commands.append(f"{f} {dict(invocation.value)}")
        self._compare(invocation, {"outcome": "malformed"}, self._send(invocation))
        record = self.records.get(payment, self._nothing())
        self.tally.exercised[transition(record, f, "malformed", record)] += 1
        self.tally.steps += 1
        self._count(f, "malformed")

    def _note(self, method: str, **arguments: Any) -> None:  # noqa: ANN401 - any argument
        self.tally.programs[-1].append(Call(method, arguments))

    def _create(self, amount: int) -> str:
        payment = str(uuid4())
        self.records[payment] = self._nothing()
        self.perform("create", payment, amount=min(amount, self.system.traits.max_amount))
        return payment

    def _nothing(self) -> Record:
        return Record(max_refusals=self.system.traits.max_stored_refusals)

    def _key(self, key: str) -> str:
        return key if self.reuses_keys else f"{key} {next(self._keys)}"

    def _send(self, invocation: Invocation) -> Mapping[str, Any]:
        try:
            observed = self.runner.run(self.system.clients[0].send(invocation))
        except UnreadableAnswerError as error:
            raise self._mismatch(str(error)) from None
        self._require_answered(f"{invocation.f} {dict(invocation.value)}", observed)
        return observed.value

    def _require_answered(self, asked: str, observed: Observation) -> None:
        try:
            self.runner.run(self.system.require_answered(asked, observed))
        except EndedError as ended:
            self.tally.keep_end(MismatchError(f"{ended}", (), self.commands), ended.end)
            raise NoMoreProgramsError from None
        except UnansweredError as unanswered:
            raise self._mismatch(f"{unanswered}") from None

    def _compare(self, invocation: Invocation, expected: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        self.tally.comparisons += 1
        traits = self.system.traits
        wrong = difference(traits.visible(invocation.f, expected), traits.visible(invocation.f, seen))
        body = seen.get("body")
        if wrong is None and "decided_at" in expected:
            place = (invocation.value["payment"], invocation.value["key"])
            first = self.bodies.setdefault(place, str(body))
            wrong = None if first == body else f"body: first answered {first!r}, now {body!r}"
        if wrong is not None:
            self.trace.add(invocation.f, invocation.value, seen)
            hint = _BY_ITSELF if self._may_have_expired(invocation.value["payment"], seen) else ""
            told = f"{invocation.f} {dict(invocation.value)}: {wrong}{hint}"
            raise self._mismatch(told, self.trace.operations())

    def _may_have_expired(self, payment: str, seen: Mapping[str, Any]) -> bool:
        """Whether an answer shows a payment as failed that is due, and that no sweep of ours has expired."""
        _, done = apply(self.records.get(payment, self._nothing()), Expire(), self.now)
        failed = "payment_failed" in outcomes_in(seen) or seen.get("payment", {}).get("state") == "failed"
        return done.outcome is Outcome.EXPIRED and failed

    def _mismatch(self, what: str, operations: Sequence[Operation] = ()) -> MismatchError:
        return self.tally.kept(MismatchError(what, operations, self.commands))

    def _count(self, f: str, outcome: str) -> None:
        name = f"{f} -> {outcome}"
        self.tally.outcomes[name] = self.tally.outcomes.get(name, 0) + 1


def run_machine(
    system: ServiceUnderTest,
    runner: asyncio.Runner,
    *,
    examples: int,
    steps: int,
    seed: int | None = None,
    progress: Progress | None = None,
    reuses_keys: bool = True,
    tally: Tally | None = None,
) -> tuple[Tally, MismatchError | None]:
    """Run the machine against a system until it has shown ``examples`` programs or found a mismatch.

    Args:
        system: the system, open in the runner's loop.
        runner: runs the system's coroutines.
        examples: programs to try.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew each time.
        progress: is told of each program as it begins.
        reuses_keys: whether keys are used again; if not, nothing is repeated.
        tally: where what is exercised is counted; a new one if not given.

    Returns:
        What was exercised, and the mismatch if there is one, with the shortest program found in its notes.
    """
    tally = tally or Tally()
    if progress is not None:
        tally.on_example = lambda: progress(tally.examples, examples, f"programs, {tally.steps:,} commands")
    attributes = {"system": system, "runner": runner, "tally": tally, "reuses_keys": reuses_keys}
    machine = type("Machine", (PaymentMachine,), attributes)
    failure = run_programs(machine, examples=examples, steps=steps, seed=seed)
    tally.smallest = failure
    return tally, failure


def run_calls(
    system: ServiceUnderTest, runner: asyncio.Runner, calls: Program, *, reuses_keys: bool
) -> MismatchError | None:
    """Run calls of programs once more, with other ids; what does not agree with the model, if anything.

    Args:
        system: a system, open in the runner's loop. If it is not new, keys are others too.
        runner: runs the system's coroutines.
        calls: the calls.
        reuses_keys: as the programs were run.
    """
    tally = Tally()
    attributes = {"system": system, "runner": runner, "tally": tally, "reuses_keys": reuses_keys}
    machine = type("Machine", (PaymentMachine,), attributes)()
    ids: dict[str, str] = {}
    suffix = "" if system.is_new else f" {uuid4()}"
    try:
        for call in calls:
            arguments = dict(call.arguments)
            if "payment" in arguments:
                arguments["payment"] = ids.setdefault(arguments["payment"], str(uuid4()))
            if "key" in arguments:
                arguments["key"] += suffix
            getattr(machine, call.method)(**arguments)
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return tally.smallest or tally.ended
    return None


def run_programs(
    machine: type[PaymentMachine], *, examples: int, steps: int, seed: int | None
) -> MismatchError | None:
    """Run programs of a machine that knows its system, until they are enough or one finds a mismatch.

    Args:
        machine: the machine.
        examples: programs to try.
        steps: commands in a program, at most.
        seed: makes the run repeatable; ``None`` draws anew each time.

    Returns:
        The mismatch, if there is one, with the shortest program found in its notes. One that does not come
        again is one all the same.

    Raises:
        Flaky: A program did otherwise when it was run again, and no mismatch was seen.
    """
    if seed is not None:
        use_seed(seed)(machine)
    try:
        # Hypothesis prints what did not come again; standard output may have to be JSON and nothing else.
        with redirect_stdout(sys.stderr):
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    database=None,
                    print_blob=False,
                    phases=(Phase.generate, Phase.shrink),
                    report_multiple_bugs=False,
                    suppress_health_check=list(HealthCheck),
                ),
            )
    except MismatchError as mismatch:
        return mismatch
    except NoMoreProgramsError:
        return machine.tally.smallest
    except Flaky as flaky:
        seen = next((each for each in _behind(flaky) if isinstance(each, MismatchError)), None)
        seen = seen or machine.tally.smallest
        if seen is None:
            raise
        return seen
    return None


def _behind(flaky: Flaky) -> Iterator[BaseException]:
    """What a program raised that did otherwise when it was run again."""
    if isinstance(flaky, FlakyFailure):
        yield from flaky.exceptions
    error: BaseException | None = flaky
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
