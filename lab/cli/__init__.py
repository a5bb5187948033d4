"""The command line of the lab: what checks this repository, and runs in its checkout alone."""

from __future__ import annotations

import typer

from payments_verify.cli.commands import application
from payments_verify.cli.exits import no_verdict
from payments_verify.cli.interrupts import interrupt_on_termination

PROGRAM = "lab"

COMMANDS = {
    "mutants": (
        "mutants:mutants",
        "Build known bugs into copies of the service, and see which technique finds which.",
    ),
    "discovery": (
        "discovery:discovery",
        "Let discovery loose on each mutant that exploration should find: does it, without a scenario?",
    ),
    "false-alarms": (
        "false_alarms:false_alarms",
        "Run everything that has chance in it on services that are right: no check may fail.",
    ),
    "peers": (
        "peers:peers",
        "Examine services of others, in the stacks that people use, right and with bugs; their table.",
    ),
    "main-job": (
        "main_job:main_job",
        "Make the checks of `payments-verify verify` that depend on the service, up to one that decides.",
    ),
    "prove": ("prove:prove", "Prove the protocol for any number of clients, payments, keys and instants."),
    "static": ("static:static", "Look at what no run shows: what the schema refuses, how statements lock."),
    "tla": ("tla:app", "The TLA+ specification in specs/tla: check it, and compare it with real runs."),
    "specs": ("specs:specs", "Make the tables of specs/specification.md and the picture of the states."),
}
"""Where each command is, and what it does."""

app = application(PROGRAM, __name__, COMMANDS, completes=False)


@app.callback()
def root(context: typer.Context) -> None:
    """Check this repository: its checks find known bugs, accuse nobody, and its pages say what is."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise no_verdict()  # that somebody wanted


def command() -> None:
    """Run the command line, which ends with ``SystemExit``."""
    interrupt_on_termination()
    app(prog_name=PROGRAM)
