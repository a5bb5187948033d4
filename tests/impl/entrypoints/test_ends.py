"""A command of the service ends in a line and with 2, whatever it did not expect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FAILING = """
import sys
from payments_core.entrypoints import cli, commands, tokens
def failing(*_arguments, **_options):
    raise ZeroDivisionError("of the test")
for name in ("_settings", "openapi_json", "markdown_pages"):
    setattr(commands, name, failing)
tokens.make = failing
sys.argv = ["payments-core", *sys.argv[1:]]
cli.main()
"""
COMMANDS = ["serve", "migrate", "sweep", "token", "openapi", "problems"]


def run(arguments: list[str], folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, *arguments],
        cwd=folder,
        text=True,
        timeout=120,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_does_not_expect_is_a_line(command: str, tmp_path: Path) -> None:
    words = [command, "pages"] if command == "problems" else [command]
    done = run(["-c", FAILING, *words], tmp_path)
    assert done.returncode == 2
    assert "payments-core: internal error: ZeroDivisionError: of the test" in done.stderr
    assert "Traceback" not in done.stderr
    kept = re.search(r"with the traceback: (\S+)", done.stderr)
    assert kept is not None
    assert "ZeroDivisionError" in Path(kept[1]).read_text()
    Path(kept[1]).unlink()


def test_a_traceback_lies_also_where_the_folder_has_a_name_that_is_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"latin-\xe9")
    folder.mkdir()
    done = run(["-c", FAILING, "token"], tmp_path, env={**os.environ, "TMPDIR": str(folder)})
    assert done.returncode == 2
    assert "latin-\\xe9/payments-core-" in done.stderr
    (kept,) = folder.iterdir()
    assert "ZeroDivisionError" in kept.read_text()


def test_a_full_disk_is_said_and_a_closed_pipe_is_not(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(["-m", "payments_core", "openapi"], tmp_path, stdout=full)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    done = run(["-m", "payments_core", "token"], tmp_path, stdout=writer)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize(("package", "word"), [("typer", "--help"), ("psycopg", "serve")])
def test_where_only_the_client_is_installed_it_says_what_to_install(
    package: str, word: str, tmp_path: Path
) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; from payments_core.__main__ import main; main()"
    done = run(["-c", without, word], tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        f"payments-core: {package} is not installed. To serve: pip install 'CHECKOUT[service]',"
        " with the folder of its sources\n"
    )
