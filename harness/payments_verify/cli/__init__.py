"""The command `payments-verify`: every command is a module of this package, added to the application here."""

from __future__ import annotations

from typing import NoReturn

import typer
from typer.core import TyperGroup

from payments_verify import outermost
from payments_verify.called import command_line
from payments_verify.cli.alarms import false_alarms
from payments_verify.cli.audit import audit
from payments_verify.cli.conformance import conformance
from payments_verify.cli.differential import machine, stress
from payments_verify.cli.ends import PROGRAM, without_verdict
from payments_verify.cli.explore import explore
from payments_verify.cli.faults import faults
from payments_verify.cli.history import history
from payments_verify.cli.interrupts import interrupt_on_termination
from payments_verify.cli.model import model
from payments_verify.cli.mutants import mutants
from payments_verify.cli.practice import practice
from payments_verify.cli.prove import prove
from payments_verify.cli.replay import replay
from payments_verify.cli.report import report
from payments_verify.cli.soak import soak
from payments_verify.cli.specs import specs
from payments_verify.cli.static import static
from payments_verify.cli.tla import app as tla
from payments_verify.cli.verify import verify


class _Commands(TyperGroup):
    """Commands of which none ends with 1, a violation, unless it has found one."""

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
app.command()(verify)
app.command()(model)
app.command()(prove)
app.command()(static)
app.command()(machine)
app.command()(stress)
app.command()(explore)
app.command()(replay)
app.command()(faults)
app.command()(soak)
app.command()(history)
app.command()(conformance)
app.command()(audit)
app.command()(report)
app.command()(specs)
app.command()(mutants)
app.command()(false_alarms)
app.add_typer(practice, name="practice")
app.add_typer(tla, name="tla")


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
        raise typer.Exit(2)


def command() -> None:
    """Run the command line, which ends with ``SystemExit``."""
    interrupt_on_termination()
    app(prog_name=PROGRAM)


def main() -> NoReturn:
    """Run the command line, and end the process with the exit code."""
    outermost.run(PROGRAM, command)
