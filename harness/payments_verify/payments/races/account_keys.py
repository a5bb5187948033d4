"""One key of an account, sent for several payments at once: it is one request's, and of no other."""

from __future__ import annotations

from payments_verify.payments.observed.in_flight import is_in_progress
from payments_verify.payments.observed.observations import IN_PROGRESS, outcomes_in
from payments_verify.payments.races.judge import Judge, Violation, unserved
from payments_verify.payments.races.result import RaceResult
from pgweave.interleavings.execution import Execution

_OTHERS = frozenset({"key_reused", IN_PROGRESS})


class AccountJudge(Judge):
    """Judges captures with one key: one succeeds, and others hear that the key is another request's."""

    def find_violation(self, execution: Execution) -> Violation | None:
        """What is wrong with a complete run; ``None`` if nothing is."""
        raced: RaceResult = execution.result
        return unserved(raced, faults=self.faults) or _wrong(raced)


def _wrong(raced: RaceResult) -> Violation | None:
    captured: set[str] = set()
    heard = [(each.value, each.result) for each in raced.operations]
    again = [each for each in raced.after if each.invocation.f == "capture"]
    for number, (asked, seen) in enumerate(
        [*heard, *((each.invocation, each.observation) for each in again)]
    ):
        if seen is None or seen.kind == "unknown":
            continue
        outcomes, payment = outcomes_in(seen.value), asked.value["payment"]
        told, index = f"{asked.f} {dict(asked.value)} -> {seen.value['outcome']}", min(number, len(heard) - 1)
        captured |= {payment} if "captured" in outcomes else set()
        if len(captured) > 1:
            return Violation(
                "I4", f"I4: a key that is the account's has captured two payments: {told}", index
            )
        if payment not in captured and not outcomes & _OTHERS:
            return Violation("I4", f"I4: the key may be another request's, and no more: {told}", index)
    if any(is_in_progress(each.observation) for each in again):
        return Violation("I9", "I9: the key stays in progress, though no request with it is in flight")
    if not captured:
        return Violation("I4", "I4: a key that nobody had used is no request's: none of them has captured")
    for number, each in enumerate(raced.after):
        state = each.observation.value.get("payment", {}).get("state")
        if state is not None and (state == "captured") != (each.invocation.value["payment"] in captured):
            return Violation("I10", f"I10: {dict(each.invocation.value)} is shown as {state}", look=number)
    return None
