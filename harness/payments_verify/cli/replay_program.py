"""`payments-verify replay` of a program: its commands once more, each answer compared with the model's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import typer
import uvloop

from payments_verify.binding import Binding
from payments_verify.cli.ends import keep_finished
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.payments.programs.check import opened_in
from payments_verify.payments.programs.program_file import ProgramError, SavedProgram, read
from payments_verify.payments.programs.run import run_calls
from payments_verify.payments.programs.tally import Tally
from payments_verify.payments.service.under_test import OpenService
from payments_verify.payments.specification.oracle import MismatchError
from payments_verify.payments.told.http import as_json as requests_as_json
from payments_verify.payments.told.http import with_http
from payments_verify.systems import empty_databases, service_at, settle_clock, started_service
from pgweave.verdict import Verdict, worst


@dataclass(frozen=True)
class BoundService:
    """The service that options name.

    Attributes:
        url: where it runs, or
        command: what starts it.
        binding: its interface.
        bin_dir: the PostgreSQL for it.
        server: a server of somebody else's instead.
    """

    url: str | None
    command: str | None
    binding: Binding
    bin_dir: Path | None
    server: str | None

    @contextmanager
    def opened(self, processes: int) -> Iterator[OpenService]:
        """What opens it, each time anew, as so many processes."""
        if self.url is not None:
            yield partial(service_at, self.url, self.binding)
            return
        command = self.command
        assert command is not None
        with empty_databases(self.bin_dir, self.server) as new_database:
            settled, _clock_stays = settle_clock(command, self.binding, new_database)
            ours = self.server is None
            yield partial(started_service, command, settled, new_database, processes=processes, ours=ours)


@dataclass(frozen=True)
class _Run:
    verdict: Verdict
    found: MismatchError | None = None


def replay_program(file: Path, service: BoundService, *, times: int, as_json: bool) -> NoReturn:
    """Run the program of a file, and say whether the service's answers are the model's.

    Raises:
        typer.Exit: always, with the exit code.
        typer.BadParameter: no service is named.
    """
    if (service.url is None) == (service.command is None):
        raise typer.BadParameter(
            "name the program's service by one of the two", param_hint="--url / --command"
        )
    try:
        program = read(file)
    except ProgramError as error:
        print_error(error)
        raise no_verdict() from error
    runs: list[_Run] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in runs)) as whole,
        service.opened(program.processes) as open_service,
        progress_bar("replay") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        for number in range(times):
            with opened_in(open_service(), runner) as opened:
                tally = Tally()
                found = run_calls(
                    opened, runner, program.program, reuses_keys=program.reuses_keys, tally=tally
                )
                ended = found is not None and tally.smallest is None
                verdict: Verdict = "no verdict" if ended else "holds" if found is None else "violated"
                runs.append(_Run(verdict, found))
            progress(number + 1, times, "")
    _report(program, runs, as_json=as_json)
    leave(worst(each.verdict for each in runs), is_whole=whole())


def _report(program: SavedProgram, runs: list[_Run], *, as_json: bool) -> None:
    counts = {verdict: sum(run.verdict == verdict for run in runs) for verdict in ("holds", "violated")}
    shown = next((run for run in runs if run.found is not None), None)
    if as_json:
        print_json(
            {
                "service": program.service,
                "runs": len(runs),
                "violations": counts["violated"],
                "explanation": None if shown is None else f"{shown.found}",
                "http": [] if shown is None or shown.found is None else requests_as_json(shown.found.http),
            }
        )
        return
    if shown is not None and shown.found is not None:
        say(f"{with_http(str(shown.found), shown.found.http)}\n")
    open_ = len(runs) - sum(counts.values())
    say(f"runs: {len(runs)}; hold: {counts['holds']}, violated: {counts['violated']}, no verdict: {open_}")
