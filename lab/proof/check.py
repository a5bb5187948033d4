"""Checks the proof: the invariant holds at the beginning, and every step of any client keeps it.

A state is a set of functions from clients, payments and keys to instants, amounts and names. None leads
back: a client has a payment and a key, and neither has a client. So every obligation is in a fragment that
Z3 decides, effectively propositional logic with stratified sorts (Padon, McMillan, Panda, Sagiv and Shoham,
"Ivy: safety verification by interactive generalization", PLDI 2016).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import z3

from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES, Conjunct
from lab.proof.logic import Term, both, no, same
from lab.proof.protocol import Protocol, ProtocolStep
from lab.proof.symbols import Symbols
from lab.proof.vocabulary import Options
from payments_verify.result import CheckResult, Progress, no_progress

LIMIT_S = 60.0
BEGINNING = "the beginning"
_LOSES_WHAT_WAS_NOT_TOLD = "fail over"


@dataclass(frozen=True)
class Obligation:
    """One thing to prove, and what came of it.

    Attributes:
        step: the step, or the beginning.
        goal: the conjunct that it keeps, or the property that it has.
        proved: whether it does; ``None`` if Z3 came to no end in time.
        uses: the conjuncts that the proof needs.
    """

    step: str
    goal: str
    proved: bool | None
    uses: Sequence[str] = ()


class Proof:
    """The obligations of one protocol.

    Args:
        options: the protocol.
        conjuncts: the invariant.
        limit_s: how long Z3 may take for each obligation, in seconds.
        minimal: whether what a proof uses is made as small as can be; that takes longer than all proofs.
    """

    def __init__(
        self,
        options: Options | None = None,
        conjuncts: Sequence[Conjunct] = CONJUNCTS,
        limit_s: float = LIMIT_S,
        *,
        minimal: bool = False,
    ) -> None:
        self.options = options or Options()
        self.words = Symbols(self.options.constraints)
        self.protocol = Protocol(self.words, self.options)
        ordered = not self.options.clock_steps_back
        self.conjuncts = [each for each in conjuncts if ordered or not each.needs_order]
        self.properties = [each for each in STEP_PROPERTIES if ordered or not each.needs_order]
        self.state = self.words.any_state()
        self.client = z3.Const("p", self.words.sorts["client"])
        end = z3.Const("end", self.words.sorts["instant"])
        actions = {**self.protocol.statements(), **self.protocol.faults()}
        self.steps = {name: action(self.state, self.client, end) for name, action in actions.items()}
        self._limit_s = limit_s
        self._minimal = minimal

    def __len__(self) -> int:
        """How many obligations there are."""
        return len(self.conjuncts) * (len(self.steps) + 1) + len(self.properties) * (len(self.steps) - 1)

    def obligations(self) -> Iterator[Obligation]:
        """Prove one after the other."""
        solver = self.solver()
        solver.add(self.begins())
        for conjunct in self.conjuncts:
            yield _prove(solver, BEGINNING, conjunct.name, conjunct.says(self.protocol, self.state))
        for name, step in self.steps.items():
            solver = self.solver()
            for conjunct in self.conjuncts:
                solver.assert_and_track(conjunct.says(self.protocol, self.state), conjunct.name)
            solver.add(step.guard)
            for goal, formula in self.goals(name, step):
                yield _prove(solver, name, goal, formula)

    def goals(self, name: str, step: ProtocolStep) -> Iterator[tuple[str, Term]]:
        """What a step has to keep, and to be."""
        for conjunct in self.conjuncts:
            yield conjunct.name, conjunct.says(self.protocol, step.after)
        # A failover takes back what nobody was told: of a step, that is the one thing that it may do.
        for each in self.properties if name != _LOSES_WHAT_WAS_NOT_TOLD else ():
            yield each.name, each.says(self.protocol, self.state, step.after, self.client)

    def solver(self) -> z3.Solver:
        """A solver that knows the sorts."""
        solver = z3.Solver(ctx=self.words.context)
        solver.set("timeout", int(self._limit_s * 1000))
        solver.set("core.minimize", self._minimal)
        solver.add(*self.words.axioms)
        return solver

    def begins(self) -> Term:
        """The beginning: there are no payments, and nobody has sent anything."""
        s, w = self.state, self.words
        nothing = {
            **dict.fromkeys(("saw", "wrote_row"), w.no_row),
            **dict.fromkeys(("found", "wrote"), w.no_attempt),
            **dict.fromkeys(("begun", "clock", "granted"), w.zero),
            **dict.fromkeys(("waits", "holds", "broken"), False),
            "answer": w.no_answer,
        }

        def client(p: Term) -> Term:
            at = same(s.at(p), self.protocol.first_place(p))
            return both(at, *(same(getattr(s, name)(p), value) for name, value in nothing.items()))

        def payment(each: Term) -> Term:
            rows = both(same(s.row(each), w.no_row), same(s.kept_row(each), w.no_row))
            return both(rows, w.every("key", lambda key: _unused(each, key)))

        def _unused(each: Term, key: Term) -> Term:
            return both(same(s.under(each, key), w.no_attempt), same(s.kept_under(each, key), w.no_attempt))

        return both(w.every("client", client), w.every("payment", payment))


def _prove(solver: z3.Solver, step: str, goal: str, formula: Term) -> Obligation:
    if formula is True:
        return Obligation(step, goal, proved=True)
    solver.push()
    solver.add(no(formula))
    found = solver.check()
    uses = sorted(str(each) for each in solver.unsat_core()) if found == z3.unsat else []
    solver.pop()
    return Obligation(step, goal, None if found == z3.unknown else found == z3.unsat, uses)


def check_proof(
    options: Options | None = None,
    conjuncts: Sequence[Conjunct] = CONJUNCTS,
    *,
    progress: Progress = no_progress,
    limit_s: float = LIMIT_S,
    minimal: bool = False,
) -> CheckResult:
    """Check the whole proof.

    Args:
        options: the protocol; the service's if not given.
        conjuncts: the invariant.
        progress: told of each obligation.
        limit_s: how long Z3 may take for each, in seconds.
        minimal: whether what each proof uses is made as small as can be.

    Returns:
        ``holds`` if every obligation is proved; ``violated`` if one has a counterexample; else ``no
        verdict``: Z3 came to no end with one. The cases are the obligations.
    """
    started = time.perf_counter()
    proof = Proof(options, conjuncts, limit_s, minimal=minimal)
    done: list[Obligation] = []
    for obligation in proof.obligations():
        done.append(obligation)
        progress(len(done), len(proof), f"{obligation.step}: {obligation.goal}")
    failing = [each for each in done if each.proved is False]
    open_ = [each for each in done if each.proved is None]
    lines = [f"{each.step} does not keep: {each.goal}" for each in failing]
    lines += [f"no end within {limit_s:g} s: {each.step}, {each.goal}" for each in open_]
    return CheckResult(
        name="protocol, any number of clients"
        + (", clock set back" if proof.options.clock_steps_back else ""),
        kind="proof",
        cases=len(done),
        verdict="violated" if failing else "no verdict" if open_ else "holds",
        seconds=time.perf_counter() - started,
        details={
            "conjuncts": len(proof.conjuncts),
            "properties": len(proof.properties),
            "steps": len(proof.steps),
            "uses": uses(done),
        },
        counterexample="\n".join(lines) or None,
    )


def uses(done: Sequence[Obligation]) -> dict[str, dict[str, int]]:
    """For each step, the conjuncts that its proofs need beside the proved one, and how many of them do."""
    by_step: dict[str, Counter[str]] = {}
    for each in done:
        others = [name for name in each.uses if name != each.goal]
        by_step.setdefault(each.step, Counter()).update(others)
    return {step: dict(counted.most_common()) for step, counted in by_step.items()}
