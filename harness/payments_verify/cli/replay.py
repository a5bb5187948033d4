"""`payments-verify replay`: run a schedule again, and see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from payments_verify.called import command_line
from payments_verify.cli.bound_service import BindingFile, Server, read_binding, require_server
from payments_verify.cli.ends import keep_finished, write_or_tell
from payments_verify.cli.exits import leave, no_verdict
from payments_verify.cli.explored_system import ExploredSystem, explored, require_database, system_of
from payments_verify.cli.options import Command, Json, PostgresBin
from payments_verify.cli.progress import Report, progress_bar
from payments_verify.cli.replay_program import BoundService, replay_program
from payments_verify.cli.telling import print_error, print_json, say
from payments_verify.payments.conformance.selection import SelectionError, levels_of
from payments_verify.payments.exploration.domain import scenario_race
from payments_verify.payments.programs.program_file import is_program
from payments_verify.payments.races.actors import SENT
from payments_verify.payments.races.judge import Violation
from payments_verify.payments.races.timeline import timeline_of
from payments_verify.payments.scenarios import schedule_file
from payments_verify.payments.scenarios.discovered import require_scenario
from payments_verify.payments.service.under_test import OpenService
from payments_verify.systems import empty_databases, settle_clock, started_service
from pgweave.drive.single import replay_race
from pgweave.interleavings.execution import DivergenceError, Execution, SchedulingError
from pgweave.sql.shapes import shape
from pgweave.timeline import html, svg, text
from pgweave.verdict import Verdict, worst
from pgweave.visible import without_passwords


@dataclass(frozen=True)
class _Replayed:
    execution: Execution | None
    violation: Violation | None = None
    problem: str | None = None

    @property
    def verdict(self) -> Verdict:
        if self.violation is not None:
            return "violated"
        return "holds" if self.problem is None else "no verdict"


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A schedule, or a program.", show_default=False)
    ],
    times: Annotated[int, typer.Option(min=1, help="How often to run it.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures; FILE's if not given.", show_default=False),
    ] = None,
    width: Annotated[int, typer.Option(min=60, help="Columns of the timeline.")] = 100,
    system: Annotated[
        ExploredSystem | None, typer.Option(help="The system to run; FILE says it.", show_default=False)
    ] = None,
    command: Command = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Of a program: where it runs.", show_default=False)
    ] = None,
    binding: BindingFile = None,
    postgres_bin: PostgresBin = None,
    server: Server = None,
    as_json: Json = False,
) -> None:
    """Run exactly the schedule of a file, and show it; or the program that conformance has written.

    Exit codes: 0 the model explains every run; 1 it does not; 2 it could not be run.
    """
    if is_program(file):
        if server is not None:
            require_server(server, command)
        service = BoundService(url, command, read_binding(binding), postgres_bin, server)
        replay_program(file, service, times=times, as_json=as_json)
    if url is not None:
        raise typer.BadParameter("a schedule is run where its statements can be held", param_hint="--url")
    try:
        schedule = schedule_file.read(file)
        made_for = _system(file, schedule, system, command)
        instances = require_scenario(schedule.scenario).instances
    except schedule_file.ScheduleError as error:
        print_error(error)
        raise no_verdict() from error
    runs: list[_Replayed] = []
    with (
        keep_finished(lambda: worst(each.verdict for each in runs)) as whole,
        _opened(made_for, command, binding, postgres_bin, server, instances) as open_service,
        progress_bar("replay") as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_replay(open_service, schedule, times, runs, progress))
    pictures = write_or_tell(partial(_draw, schedule, runs, output or file.parent, file.name.split(".")[0]))
    _report(schedule, runs, pictures or (), width=width, as_json=as_json)
    if any(run.problem is not None for run in runs):
        options = {
            "--command": command,
            "--binding": binding,
            "--server": server,
            "--postgres-bin": postgres_bin,
        }
        say(f"if what it ran was changed, explore that: {line_that_explores(schedule, options)}", err=True)
    leave(worst(run.verdict for run in runs), is_whole=pictures is not None and whole())


@contextmanager
def _opened(
    system: ExploredSystem,
    command: str | None,
    binding: Path | None,
    bin_dir: Path | None,
    server: str | None,
    instances: int,
) -> Iterator[OpenService]:
    """The service: one with a binding makes its own schema, on an empty database."""
    if server is not None:
        require_server(server, None if binding is None else command)
    if command is None or binding is None:
        with explored(system, command, bin_dir, instances=instances) as open_service:
            yield open_service
        return
    with empty_databases(bin_dir, server) as new_database:
        settled, _clock_stays = settle_clock(command, read_binding(binding), new_database)
        yield partial(
            started_service,
            command,
            settled,
            new_database,
            behind_gate=True,
            processes=instances,
            ours=server is None,
        )


def _system(
    file: Path, schedule: schedule_file.SavedSchedule, asked: ExploredSystem | None, command: str | None
) -> ExploredSystem:
    """The system that a schedule is for: one's steps are no other's.

    Raises:
        ScheduleError: another was asked for.
    """
    made_for = system_of(schedule.service)
    if command is not None:
        asked = asked or ExploredSystem.IN_PROCESS
        require_database(asked, command)
    if asked is not None and asked is not made_for:
        raise schedule_file.ScheduleError(
            f"{file}: a schedule of the service {schedule.service!r}, whose steps are others than those of"
            f" the system {asked.value}; replay it without --system and --command, or explore"
            f" {schedule.scenario} on {asked.value}"
        )
    return made_for


def line_that_explores(schedule: schedule_file.SavedSchedule, options: Mapping[str, object]) -> str:
    """The command line that explores what a schedule is of, with the options of the replay."""
    scenario, hurt = ["--scenario", schedule.scenario], bool(schedule.faults)
    words: list[object] = [word for option in options.items() if option[1] is not None for word in option]
    if options["--binding"] is None:
        made_for = system_of(schedule.service)
        system = [] if made_for is ExploredSystem.IN_PROCESS else ["--system", made_for]
        line = command_line("faults" if hurt else "explore", *scenario, *system, *words)
    else:
        level = 5 if hurt else 4
        part = [*scenario, "--level", level] if level in _levels_of(schedule.scenario) else ["--discover"]
        line = command_line("conformance", *part, *words)
    return without_passwords(line)


def _levels_of(scenario: str) -> Sequence[int]:
    """The levels of conformance that a scenario is of; none of a race that was discovered."""
    try:
        return levels_of(scenarios=[scenario])
    except SelectionError:
        return ()


async def _replay(
    open_service: OpenService,
    schedule: schedule_file.SavedSchedule,
    times: int,
    runs: list[_Replayed],
    progress: Report,
) -> None:
    faults = {(each.process, each.statement): each.fault for each in schedule.faults}
    async with open_service() as service:
        race = scenario_race(require_scenario(schedule.scenario), service, faults)
        race.facts.answers_alone |= any(label.endswith(SENT) for label in schedule.labels)
        judge = race.domain.judge(hurt=race.is_hurt)
        for number in range(times):
            try:
                execution = await replay_race(race, schedule.schedule, schedule.labels or None, shape)
            except (DivergenceError, SchedulingError) as error:
                runs.append(_Replayed(None, problem=str(error)))
            else:
                runs.append(_Replayed(execution, judge.find_violation(execution)))
            progress(number + 1, times, "")


def _draw(
    schedule: schedule_file.SavedSchedule, runs: Sequence[_Replayed], folder: Path, stem: str
) -> list[Path]:
    shown = _shown(runs)
    if shown is None or shown.execution is None:
        return []
    timeline = timeline_of(
        require_scenario(schedule.scenario), schedule.service, shown.execution, shown.violation
    )
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{stem}.svg", folder / f"{stem}.html"]
    paths[0].write_text(svg.render(timeline))
    paths[1].write_text(html.render(timeline))
    return paths


def _shown(runs: Sequence[_Replayed]) -> _Replayed | None:
    """The run to show: the first that is wrong, else the first."""
    complete = [run for run in runs if run.execution is not None]
    return next((run for run in complete if run.violation is not None), complete[0] if complete else None)


def _answers(schedule: schedule_file.SavedSchedule, shown: _Replayed | None) -> list[list[str]]:
    """What each process was answered in the run that is shown; ``unknown`` for nothing definite."""
    answers: list[list[str]] = [[] for _ in require_scenario(schedule.scenario).actors]
    if shown is not None and shown.execution is not None:
        for operation in shown.execution.result.operations:
            result = operation.result
            word = "unknown" if result is None else result.value.get("outcome", result.kind)
            answers[operation.process].append(word)
    return answers


def _report(
    schedule: schedule_file.SavedSchedule,
    runs: Sequence[_Replayed],
    pictures: Sequence[Path],
    *,
    width: int,
    as_json: bool,
) -> None:
    wrong = sum(run.violation is not None for run in runs)
    not_run = [run.problem for run in runs if run.problem is not None]
    shown = _shown(runs)
    if as_json:
        result = {
            "scenario": schedule.scenario,
            "runs": len(runs),
            "violations": wrong,
            "not_run": not_run,
            "explanation": shown.violation.explanation if shown is not None and shown.violation else None,
            "answers": _answers(schedule, shown),
            "pictures": [str(path) for path in pictures],
        }
        print_json(result)
    else:
        if shown is not None and shown.execution is not None:
            timeline = timeline_of(
                require_scenario(schedule.scenario), schedule.service, shown.execution, shown.violation
            )
            say(text.render(timeline, width))
        for problem in dict.fromkeys(not_run):
            say(f"could not be run: {problem}", err=True)
        hold = len(runs) - wrong - len(not_run)
        say(f"runs: {len(runs)}; hold: {hold}, violated: {wrong}, no verdict: {len(not_run)}")
        for path in pictures:
            say(f"picture: {path}")
