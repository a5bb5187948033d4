"""The command line: ``payments-core serve | migrate | sweep | token | openapi | problems``."""

from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from payments_core.entrypoints.called import command_line
from payments_core.entrypoints.ends import end_in_order, end_uninstalled

COMMANDS = {
    "serve": (
        "serve",
        "Serve HTTP, on DATABASE_URL or, where that is not set, on an embedded PostgreSQL.",
    ),
    "migrate": ("migrate_command", "Bring the schema of DATABASE_URL up to date."),
    "sweep": ("sweep", "Fail every authorized payment of DATABASE_URL whose capture window has ended."),
    "token": (
        "token",
        "Make a bearer token. The client keeps it; the service is told the entry, and nobody keeps it here.",
    ),
    "openapi": ("openapi_command", "Print the contract of the HTTP interface, an OpenAPI 3.1 document."),
    "problems": ("problems_command", "Write a page of each problem type, as Markdown."),
}
"""The function of each command, and what it does. They are imported when one is run."""


class _Command(TyperCommand):
    """A command that is known by its name and summary, and is imported when it is run."""

    def __init__(self, name: str) -> None:
        self._function, summary = COMMANDS[name]
        super().__init__(name, callback=None, help=summary)

    def get_short_help_str(self, _limit: int = 0) -> str:
        """The summary, whole: the list of commands breaks lines."""
        return str(self.help)

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - typer's own, as are those it gets
        """Make the context of the command itself."""
        return self.load().make_context(*arguments, **options)

    def load(self) -> Any:  # noqa: ANN401 - the command as typer makes it
        """Import the command; ends with 2 where only the client is installed."""
        try:
            commands = import_module("payments_core.entrypoints.commands")
        except ModuleNotFoundError as error:
            end_uninstalled(error)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(self.name)(getattr(commands, self._function))
        return typer.main.get_command(alone)


class _Commands(TyperGroup):
    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of a group
        super().__init__(**options | {"commands": {name: _Command(name) for name in COMMANDS}})


app = typer.Typer(
    cls=_Commands, invoke_without_command=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


_EXPLAINED = """\
payments-core serves single-capture payments over HTTP: at most one capture of each, whatever races.

Three commands to start with:

  {program} serve --demo    try it: a page at http://127.0.0.1:8000/, a database that is thrown away
  {program} migrate         make or update the schema of DATABASE_URL
  {program} serve           serve DATABASE_URL; without it, an embedded PostgreSQL whose data is kept

All commands: {program} --help
Completion in your shell: {program} --install-completion
"""


@app.callback()
def payments_core(context: typer.Context) -> None:
    """Single-capture payments: at most one capture, whatever races. Settings come from the environment."""
    if context.invoked_subcommand is None:
        typer.echo(_EXPLAINED.format(program=command_line()), nl=False)
        # Nothing was served.
        raise typer.Exit(2)


def main() -> NoReturn:
    """Run the command line, and end the process with the exit code."""
    end_in_order(lambda: app(prog_name="payments-core"))
