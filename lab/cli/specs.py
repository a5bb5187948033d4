"""`python -m lab specs`: the parts of the specification that are made, written or compared."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lab.pages import PageError, Sources, SourcesError, make
from lab.pages.traceability import gaps
from payments_verify.cli.ends import could_not_run
from payments_verify.cli.exits import leave, no_verdict, tell_first
from payments_verify.cli.options import PostgresBin
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.telling import print_error, say
from payments_verify.model_checks.contracts import check_contracts
from payments_verify.model_checks.proved import Proved, default_folder
from pgweave.verdict import Verdict

_CONFIRMED = "confirmed"
_LINES_SHOWN = 40


def specs(
    root: Annotated[Path, typer.Option(help="The checkout whose pages are written.")] = Path(),
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing: compare. Contracts count as confirmed; `payments-verify model` finds out.",
        ),
    ] = False,
    postgres_bin: PostgresBin = None,
) -> None:
    """Make the tables of specs/specification.md and the picture of the states.

    The transition table and the order of outcomes come from the model, the data model from a migrated
    database, what holds each invariant from contracts, comments on constraints, scenarios, marks of tests
    and the catalogue of mutants. CrossHair decides the contracts, which takes about a minute
    where they were not proved before of the same sources.

    Exit codes: 0 written, or up to date; 1 with --check, a page differs; and always, an invariant that
    nothing of some kind holds, unexplained; or a contract that is not confirmed. 2 no verdict.
    """
    try:
        with could_not_run():
            sources = Sources.read(root, postgres_bin)
        statuses = _confirmed(sources) if check else _decided()
        files = make(sources, statuses).files(root)
        wrong = [str(gap) for gap in gaps(sources)]
        wrong += [f"{text}: {status}" for text, status in statuses.items() if status != _CONFIRMED]
        if check:
            wrong += _differences(files)
        else:
            _write(files)
    except (PageError, SourcesError, OSError) as error:
        print_error(error)
        raise no_verdict() from None
    verdict: Verdict = "violated" if wrong else "holds"
    tell_first(verdict)
    for each in wrong:
        say(each, err=True)
    leave(verdict)


def _confirmed(sources: Sources) -> Mapping[str, str]:
    return {condition.text: _CONFIRMED for condition in sources.contracts}


def _decided() -> Mapping[str, str]:
    with progress_bar("contracts (CrossHair)") as progress:
        result = check_contracts(proved=Proved(default_folder()), progress=progress)
    return {finding["text"]: finding["status"] for finding in result.details["conditions"]}


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _differences(files: Mapping[Path, str]) -> list[str]:
    found = []
    for path, text in files.items():
        there = path.read_text(encoding="utf-8") if path.is_file() else ""
        if there != text:
            lines = difflib.unified_diff(
                there.splitlines(), text.splitlines(), str(path), "what is made now", lineterm="", n=1
            )
            shown = "\n".join(list(lines)[:_LINES_SHOWN])
            found.append(f"{path} differs from what is made; `make specs` writes it anew:\n{shown}")
    return found
