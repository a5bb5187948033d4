"""`python -m lab prove`: the protocol, for any number of clients, by an inductive invariant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lab.cli.tla import Jar, Specification, could_run
from lab.proof.agreement import check_agreement, comparable
from lab.proof.check import check_proof
from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES, Conjunct, StepProperty
from lab.proof.story import refuted
from lab.proof.vocabulary import Options
from lab.proof.weakened import WEAKENED, check_refuted, refute
from lab.tla.models import read_models
from lab.tla.tlc import SPECIFICATION, find_tlc
from payments_verify.cli.ends import keep_finished, result_of_the_rest, run_check
from payments_verify.cli.options import Json
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.running import finish
from payments_verify.cli.telling import say
from payments_verify.result import CheckResult
from pgweave.verdict import worst

RunCheck = Callable[..., CheckResult]


def prove(
    weakened: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Show why this weakened protocol is not proved; may be repeated.",
            show_default=False,
        ),
    ] = None,
    invariant: Annotated[bool, typer.Option("--invariant", help="Print the invariant, in words.")] = False,
    uses: Annotated[
        bool, typer.Option("--uses", help="Print which conjuncts the proof of each step needs.")
    ] = False,
    graphs: Annotated[
        bool,
        typer.Option(
            "--graphs", help="Also compare the state graphs of a few clients with TLC's (needs Java)."
        ),
    ] = False,
    specification: Specification = SPECIFICATION,
    jar: Jar = None,
    as_json: Json = False,
) -> None:
    """Prove the protocol for any number of clients, payments, keys and instants.

    An invariant holds at the beginning, and every step of any client keeps it: Z3 shows both. Each protocol
    that is weakened at one place is refuted: the induction fails there, and a run of a few clients shows
    what follows.

    Exit codes: 0 everything is proved, and every weakened protocol refuted; 1 not so; 2 no verdict.
    """
    if invariant:
        _print_invariant()
        return
    if weakened:
        _show(weakened)
        return
    with could_run():
        results = _run([*_proofs(minimal=uses), *(_agreements(specification, jar) if graphs else ())])
    if uses and not as_json:
        _print_uses(results[0])
    finish(results, as_json=as_json)


def _proofs(*, minimal: bool) -> list[tuple[str, RunCheck]]:
    proofs: list[tuple[str, RunCheck]] = [
        ("the protocol", partial(check_proof, minimal=minimal)),
        (
            "the protocol, with a clock that may be set back",
            partial(check_proof, Options(clock_steps_back=True)),
        ),
    ]
    return [*proofs, *((name, partial(check_refuted, name)) for name in WEAKENED)]


def _agreements(specification: Specification, jar: Jar) -> list[tuple[str, RunCheck]]:
    tlc = find_tlc(specification, jar=jar)
    models = comparable(read_models(specification), specification)
    return [(f"TLC: {model.name}", partial(check_agreement, tlc, model)) for model in models]


def _run(checks: Sequence[tuple[str, RunCheck]]) -> list[CheckResult]:
    results: list[CheckResult] = []
    with keep_finished(lambda: worst(each.verdict for each in results)) as whole:
        for title, run in checks:
            with progress_bar(title) as progress:
                run_check(title, partial(run, progress=progress), results)
    if not whole():
        results.append(result_of_the_rest())
    return results


def _show(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in WEAKENED]
    if unknown:
        raise typer.BadParameter(
            f"no weakened protocol is named {', '.join(unknown)}; there are {', '.join(WEAKENED)}",
            param_hint="--weakened",
        )
    for name in names:
        with progress_bar(name):
            found = refute(WEAKENED[name])
        say(refuted(name, WEAKENED[name], found))


def _print_invariant() -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("conjunct", "says", "of"):
        table.add_column(title, overflow="fold")
    parts: tuple[tuple[Sequence[Conjunct | StepProperty], str], ...] = (
        (CONJUNCTS, ""),
        (STEP_PROPERTIES, " (of each step)"),
    )
    for part, kind in parts:
        for each in part:
            order = "; while the clock goes forward" if each.needs_order else ""
            table.add_row(each.name + kind, each.words + order, " ".join(each.invariants))
    Console(soft_wrap=True).print(table)


def _print_uses(result: CheckResult) -> None:
    say("what the proof of each step needs, beside what it proves:")
    for step, needed in result.details["uses"].items():
        say(f"  {step}: {', '.join(needed) or 'nothing'}")
    say("")
