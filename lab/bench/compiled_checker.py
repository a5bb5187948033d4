"""Porcupine, a compiled checker, on the same histories: built from a folder with its source, and run.

Its own tests know how to read its test data, and have the models. One more test is compiled into them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

_TEST = Path(__file__).with_name("compiled_checker_test.go")
_MARK = "checked "


class CompiledCheckerError(Exception):
    """The compiled checker cannot be built or run; the message says what is needed."""


class Timed(msgspec.Struct, frozen=True):
    """What the compiled checker found for a file, and what that took, in ns of the processor."""

    file: str
    linearizable: bool
    read: int
    check: int


def histories(source: Path) -> list[Path]:
    """Return the histories among porcupine's test data; one of its logs is empty, and is none.

    Raises:
        CompiledCheckerError: The folder is not porcupine's source.
    """
    found = sorted([*source.glob("test_data/jepsen/*.log"), *source.glob("test_data/kv/*.txt")])
    found = [path for path in found if path.stat().st_size]
    if not found or not (source / "go.mod").exists():
        raise CompiledCheckerError(
            f"PORCUPINE={source} is not the source of porcupine with its test_data; "
            "give the folder of a clone of github.com/anishathalye/porcupine"
        )
    return found


def build(source: Path, folder: Path) -> Path:
    """Compile porcupine and its tests.

    Args:
        source: The folder of its source.
        folder: An empty folder to build in.

    Returns:
        The program.

    Raises:
        CompiledCheckerError: Go is missing, or does not compile it.
    """
    go = shutil.which("go")
    if go is None:
        raise CompiledCheckerError("Go is not installed, and porcupine is compiled by it (Debian: golang-go)")
    for each in (*source.glob("*.go"), source / "go.mod", _TEST):
        shutil.copy(each, folder)
    shutil.copytree(source / "visualization", folder / "visualization")
    program = folder / "checker"
    done = subprocess.run(
        [go, "test", "-c", "-o", str(program)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CompiledCheckerError(f"Go does not compile porcupine of {source}:\n{done.stderr.strip()}")
    return program


def run(program: Path, files: Iterable[Path]) -> Mapping[Path, Timed]:
    """Have files read and checked, one after the other.

    Raises:
        CompiledCheckerError: The program failed.
    """
    told = "".join(f"{file}\n" for file in files)
    command = [str(program), "-test.run=^TestFilesOfStandardInput$"]
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CompiledCheckerError(f"porcupine ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    lines = [line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)]
    return {Path(each.file): each for each in (msgspec.json.decode(line, type=Timed) for line in lines)}
