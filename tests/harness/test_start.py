"""A command imports what it runs, and a user does not wait for the rest."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from lab import cli as lab
from payments_core.entrypoints import cli as service
from payments_verify import cli as harness

HEAVY = {
    "crosshair",
    "httpx",
    "hypothesis",
    "psycopg",
    "pydantic",
    "rich.console",
    "sqlglot",
    "starlette",
    "uvicorn",
    "z3",
}
LOADED = """
import sys
from importlib import import_module
program, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = program
try:
    import_module(program).main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("loaded:", *sys.modules)
"""
HISTORY = Path(__file__).parents[1] / "pgweave" / "histories" / "cas-register-ok-concurrent-writes.jsonl"


@pytest.mark.parametrize(
    "words",
    [
        ("payments_verify.cli", "--help"),
        ("payments_verify.cli", "history", "--help"),
        ("payments_verify.cli", "history", str(HISTORY)),
        ("payments_verify.cli", "report", "--help"),
        ("payments_core.__main__", "--help"),
    ],
    ids=lambda words: " ".join(Path(word).name for word in words),
)
def test_what_a_command_does_not_use_is_not_imported(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, *words], text=True, capture_output=True, check=True)
    assert not HEAVY & set(done.stdout.rpartition("loaded:")[2].split())


def test_what_uses_them_imports_them() -> None:
    words = ("payments_verify.cli", "explore", "--list")
    done = subprocess.run([sys.executable, "-c", LOADED, *words], text=True, capture_output=True, check=True)
    assert {"httpx", "psycopg", "sqlglot"} <= set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.parametrize(
    ("program", "name"), [(program, name) for program in (harness, lab, service) for name in program.COMMANDS]
)
def test_every_command_is_what_the_list_of_commands_says(program: ModuleType, name: str) -> None:
    listed = typer.main.get_command(program.app).commands[name]  # type: ignore[attr-defined]
    command = listed.load()
    assert command.name == name
    assert inspect.cleandoc(command.help).startswith(
        listed.help.removesuffix(".").split(":")[0].split(",")[0]
    )
