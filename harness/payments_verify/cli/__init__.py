"""The command `payments-verify`: every command is a module of this package, added to the application here."""

from __future__ import annotations

import sys
from io import TextIOWrapper

import typer

from payments_verify.cli.alarms import false_alarms
from payments_verify.cli.audit import audit
from payments_verify.cli.conformance import conformance
from payments_verify.cli.differential import machine, stress
from payments_verify.cli.explore import explore
from payments_verify.cli.faults import faults
from payments_verify.cli.history import history
from payments_verify.cli.model import model
from payments_verify.cli.mutants import mutants
from payments_verify.cli.practice import practice
from payments_verify.cli.replay import replay
from payments_verify.cli.soak import soak
from payments_verify.cli.specs import specs
from payments_verify.cli.static import static
from payments_verify.cli.tla import app as tla
from payments_verify.cli.verify import verify

app = typer.Typer(
    name="payments-verify",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(verify)
app.command()(model)
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
app.command()(specs)
app.command()(mutants)
app.command()(false_alarms)
app.add_typer(practice, name="practice")
app.add_typer(tla, name="tla")


@app.callback()
def root() -> None:
    """Compare implementations of payment capture with the formal model."""


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # a history's strings and a file's name may hold what the terminal's encoding has no character for
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="payments-verify")
