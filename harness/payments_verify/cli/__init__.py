"""The command `payments-verify`: every command is a module of this package, added to the application here."""

from __future__ import annotations

from typing import NoReturn

import typer

from payments_verify.called import TO_VERIFY, command_line
from payments_verify.cli.commands import application
from payments_verify.cli.exits import no_verdict
from payments_verify.cli.interrupts import interrupt_on_termination
from pgweave import outermost

PROGRAM = "payments-verify"

COMMANDS = {
    "verify": (
        "verify:verify",
        "Run every check: the model, the service against it, and races against both.",
    ),
    "model": (
        "model:model",
        "Check the model: its contracts, the domain's rules against it, and every bounded state.",
    ),
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
    "practice": (
        "practice:practice",
        "An exercise: a capture service that is wrong, to be made right level by level.",
    ),
}
"""Where each command is, and what it does. It is imported when it is run: none waits for the others."""

app = application(PROGRAM, __name__, COMMANDS)


_EXPLAINED = """\
payments-verify compares implementations of payment capture with a formal model: at most one capture,
whatever races, however often it is asked, whatever breaks on the way.

Three commands to start with:

  {program} verify --quick     is everything right here? 2 minutes; then open build/report/index.html
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
    outermost.run(PROGRAM, command, TO_VERIFY)
