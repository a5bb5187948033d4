"""States and steps of a few clients, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.proof.counterexample import Counterexample
from lab.proof.few import Client, Race
from lab.proof.invariant import Conjunct
from lab.proof.vocabulary import Attempt, Row, State
from lab.proof.weakened import Refutation, Weakened, WeakenedRun

_DOES = {
    "only_lock": "session outside, only locks",
    "void": "session outside, voids",
    "roll_back": "session outside, voids and rolls back",
    "sweep": "sweeper",
    "fail": "void",
}
_INDENT = " " * 9


def name_of(client: int) -> str:
    """A client's name: A, B, C."""
    return chr(ord("A") + client)


def told(found: Counterexample) -> str:
    """A counterexample to induction as two states and the step between them."""
    keeps = "does not keep" if isinstance(found.goal, Conjunct) else "is not"
    lines = [f'{found.step} {keeps} "{found.goal.name}": {found.goal.words}', ""]
    before = described(found.race, found.before)
    after = described(found.race, found.after)
    lines += _block("before", before)
    lines.append(f"step     {name_of(found.client)}: {found.step}")
    lines += _block("after", [line for line in after if line not in before])
    return "\n".join(lines)


def refuted(name: str, weakened: Weakened, found: Refutation) -> str:
    """Why a weakened protocol is not proved: where the induction fails, and a run that shows what follows."""
    failing = ", ".join(f"{each.step} ({each.goal})" for each in found.failing)
    lines = [f"{name}: {weakened.words}", "", f"not proved: {failing}", ""]
    if found.induction is not None:
        lines += [told(found.induction), ""]
    if found.run is not None:
        lines += _run(weakened, found.run)
    return "\n".join([*lines, *found.problems])


def _run(weakened: Weakened, run: WeakenedRun) -> Iterator[str]:
    yield f'a shortest run to where "{run.loses.name}" does not hold: {run.loses.words}'
    yield from (f"         {line}" for line in described(weakened.race, run.states[0]))
    for number, step in enumerate(run.steps, 1):
        client, _, what = step.partition(": ")
        yield f"    {number:>3}  {name_of(int(client))}: {what}"
    yield from (f"         {line}" for line in described(weakened.race, run.states[-1]))


def _block(title: str, lines: Sequence[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"{title:<9}{line}" if number == 0 else f"{_INDENT}{line}"


def described(race: Race, state: State) -> list[str]:
    """A state: the payments, what is stored under keys, and where each client stands."""
    payments = sorted({client.of for client in race.clients})
    lines = []
    for payment in payments:
        which = "the payment" if len(payments) == 1 else f"payment {payment}"
        lines.append(f"{which}: {_row(state.row(payment))}; the clock shows {state.now}")
        if state.kept_row(payment) != state.row(payment):
            lines.append(f"{which} on the standby: {_row(state.kept_row(payment))}")
        for key in sorted({client.key for client in race.clients}):
            lines += _under(state, payment, key)
    lines += [f"{name_of(p)} {_client(each)}: {_stands(state, p)}" for p, each in enumerate(race.clients)]
    return lines


def _under(state: State, payment: int, key: str) -> Iterator[str]:
    attempt, kept = state.under(payment, key), state.kept_under(payment, key)
    if attempt.outcome != "none":
        yield f"stored under {key}: {_attempt(attempt)}"
    if kept != attempt:
        yield f"stored under {key} on the standby: {_attempt(kept)}"


def _row(row: Row) -> str:
    if row.state == "none":
        return "none"
    text = f"{row.state}, {row.amount} cents"
    if row.state != "pending":
        text += f", to be captured before {row.expires_at}"
    if row.state in ("captured", "failed"):
        text += f", {row.state} at {row.ended_at}"
    return text + (f" ({row.reason})" if row.reason != "none" else "")


def _attempt(attempt: Attempt) -> str:
    if attempt.outcome == "none":
        return "nothing"
    return f"{attempt.outcome} of {attempt.amount} cents, decided at {attempt.decided_at}"


def _client(client: Client) -> str:
    name = _DOES.get(client.does, client.does)
    if client.does == "capture":
        return f"{name} {client.key} {client.amount}"
    if client.does == "create":
        return f"{name} {client.amount}"
    return f"{name} to {client.to}" if client.does == "tick" else name


def _stands(state: State, p: int) -> str:
    answer = state.answer(p)
    if state.at(p) == "done" and answer.outcome != "none":
        return f"was told {answer.outcome}" + (" again" if answer.replayed else "")
    parts = [f"waits in {state.at(p)}" if state.waits(p) else f"sends {state.at(p)} next"]
    if state.holds(p):
        parts.append("has the lock")
    if state.saw(p).state != "none":
        parts.append(f"saw {state.saw(p).state}")
    if state.found(p).outcome != "none":
        parts.append(f"found {state.found(p).outcome}")
    if state.at(p) in ("update", "insert", "commit"):
        parts.append(f"read the clock at {state.clock(p)}")
    if state.wrote_row(p).state != "none":
        parts.append(f"wrote {state.wrote_row(p).state}")
    if state.wrote(p).outcome != "none":
        parts.append(f"wrote its attempt, {state.wrote(p).outcome}")
    return ", ".join(parts)
