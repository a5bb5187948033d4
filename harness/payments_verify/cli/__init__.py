"""The command `payments-verify`: every command is a module of this package, added to the application here."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from payments_verify import outermost
from payments_verify.called import command_line
from payments_verify.cli.ends import PROGRAM, without_verdict
from payments_verify.cli.exits import no_verdict
from payments_verify.cli.interrupts import interrupt_on_termination

COMMANDS = {
    "verify": (
        "verify:verify",
        "Run every check: the model, the service against it, and races against both.",
    ),
    "model": (
        "model:model",
        "Check the model: its contracts, the domain's rules against it, and every bounded state.",
    ),
    "prove": ("prove:prove", "Prove the protocol for any number of clients, payments, keys and instants."),
    "static": ("static:static", "Look at what no run shows: what the schema refuses, how statements lock."),
    "machine": (
        "differential:machine",
        "Run the stateful machine: each answer to a drawn command compared with the model's.",
    ),
    "stress": ("differential:stress", "Race clients against server processes, and judge every history."),
    "explore": ("explore:explore", "Run racing requests in every order of their steps, and judge each run."),
    "replay": ("replay:replay", "Run exactly the schedule of a file, and show it."),
    "faults": ("faults:faults", "Let one thing go wrong at each statement, in every interleaving."),
    "soak": ("soak:soak", "Load two server processes while faults of all kinds happen, and judge it all."),
    "history": ("history:history", "Check recorded histories for linearizability."),
    "conformance": (
        "conformance:conformance",
        "Examine a service of your own, in any language: which of five levels it reaches.",
    ),
    "audit": (
        "audit:audit",
        "Replay the recorded past of every payment in a database, and compare its rows.",
    ),
    "report": ("report:report", "Write index.html again from the report.json in a folder."),
    "specs": ("specs:specs", "Make the tables of specs/specification.md and the picture of the states."),
    "mutants": (
        "mutants:mutants",
        "Build known bugs into copies of the service, and see which technique finds which.",
    ),
    "false-alarms": (
        "alarms:false_alarms",
        "Run everything that has chance in it on services that are right: no check may fail.",
    ),
    "practice": (
        "practice:practice",
        "An exercise: a capture service that is wrong, to be made right level by level.",
    ),
    "tla": ("tla:app", "The TLA+ specification in specs/tla: check it, and compare it with real runs."),
}
"""Where each command is, and what it does. It is imported when it is run: none waits for the others."""


class _Command(TyperCommand):
    """A command that is known by its name and summary, and is imported when it is run."""

    def __init__(self, name: str) -> None:
        place, summary = COMMANDS[name]
        super().__init__(name, callback=None, help=summary)
        self._module, self._attribute = place.split(":")

    def get_short_help_str(self, _limit: int = 0) -> str:
        """The summary, whole: the list of commands breaks lines."""
        return str(self.help)

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - typer's own, as are those it gets
        """Make the context of the command itself."""
        return self.load().make_context(*arguments, **options)

    def load(self) -> Any:  # noqa: ANN401 - typer has no name for what a command and a group have in common
        """Import the command."""
        found = getattr(import_module(f"{__name__}.{self._module}"), self._attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(self.name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = self.name
        return command


class _Commands(TyperGroup):
    """Commands of which none ends with 1, a violation, unless it has found one."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of a group
        super().__init__(**options | {"commands": {name: _Command(name) for name in COMMANDS}})

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command."""
        with without_verdict():
            return super().invoke(ctx)


app = typer.Typer(
    name=PROGRAM,
    cls=_Commands,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_EXPLAINED = """\
payments-verify compares implementations of payment capture with a formal model: at most one capture,
whatever races, however often it is asked, whatever breaks on the way.

Three commands to start with:

  {program} verify --quick     is everything right here? 3 minutes; then open build/report/index.html
  {program} explore --list     which races are run in every order of their SQL statements
  {program} history FILE       is what your own clients saw possible at all?

All commands: {program} --help
Completion in your shell: {program} --install-completion
"""


@app.callback()
def root(context: typer.Context) -> None:
    """Compare implementations of payment capture with the formal model."""
    if context.invoked_subcommand is None:
        typer.echo(_EXPLAINED.format(program=command_line()), nl=False)
        # Whoever wanted a verdict has none.
        raise no_verdict()


def command() -> None:
    """Run the command line, which ends with ``SystemExit``."""
    interrupt_on_termination()
    app(prog_name=PROGRAM)


def main() -> NoReturn:
    """Run the command line, and end the process with the exit code."""
    outermost.run(PROGRAM, command)
