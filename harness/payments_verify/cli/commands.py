"""A command line whose commands are known by name and summary, and imported when they are run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

Commands = Mapping[str, tuple[str, str]]
"""By name, where a command is, as ``module:attribute`` of a package, and what it does."""


class _OwnValues(TyperCommand):
    """A command none of whose options takes another of them for its value."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the command line, and see that each option has a value where it needs one."""
        left = super().parse_args(ctx, args)
        names = {name for each in self.get_params(ctx) for name in (*each.opts, *each.secondary_opts)}
        for each in self.get_params(ctx):
            given = ctx.params.get(each.name or "")
            for value in map(str, given if isinstance(given, list) else [given]):
                if value.startswith("-") and value in names:
                    told = f"it needs a value, and {value} is another option"
                    raise typer.BadParameter(told, param_hint=each.opts[0])
        return left


class _Command(TyperCommand):
    """A command that is imported when it is run."""

    def __init__(self, name: str, module: str, attribute: str, summary: str) -> None:
        super().__init__(name, callback=None, help=summary)
        self._module, self._attribute = module, attribute

    def get_short_help_str(self, _limit: int = 0) -> str:
        """The summary, whole: the list of commands breaks lines."""
        return str(self.help)

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - typer's own, as are those it gets
        """Make the context of the command itself."""
        return self.load().make_context(*arguments, **options)

    def load(self) -> Any:  # noqa: ANN401 - typer has no name for what a command and a group have in common
        """Import the command."""
        found = getattr(import_module(self._module), self._attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(self.name, cls=_OwnValues)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = self.name
        return command


def application(program: str, package: str, commands: Commands, *, completes: bool = True) -> typer.Typer:
    """The command line of a program: exit code 1, a violation, is left to those commands that find one.

    Args:
        program: its name.
        package: whose modules the commands are.
        commands: the commands.
        completes: whether a shell can complete them.
    """

    class Group(TyperGroup):
        def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of a group
            found = {}
            for name, (place, summary) in commands.items():
                module, attribute = place.split(":")
                found[name] = _Command(name, f"{package}.{module}", attribute, summary)
            super().__init__(**options | {"commands": found})

        def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
            # In here, since a help page needs none of what a command ends with.
            from payments_verify.cli import telling  # noqa: PLC0415
            from payments_verify.cli.ends import without_verdict  # noqa: PLC0415

            telling.program.set(program)
            with without_verdict():
                return super().invoke(ctx)

    return typer.Typer(
        name=program,
        cls=Group,
        invoke_without_command=True,
        add_completion=completes,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
