"""Practice: a service that is wrong on purpose, written to a folder, to be made right level by level.

The skeleton's files are data of this package. They are no part of the harness, and import nothing of it.
"""

from __future__ import annotations

import shlex
import sys
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from payments_verify.called import command_line

SERVICE = "service.py"
BINDING = "binding.toml"


class PracticeError(ValueError):
    """A folder in which nothing can be written, or that has no exercise; the message says which and why."""


def skeleton() -> list[Traversable]:
    """The files of the exercise as it begins."""
    files = resources.files(__package__).joinpath("skeleton").iterdir()
    return sorted((each for each in files if each.is_file()), key=lambda each: each.name)


def write_skeleton(folder: Path) -> list[Path]:
    """Write the exercise to a folder, which is made if it is not there.

    Args:
        folder: where; nothing may be in it.

    Returns:
        The files.

    Raises:
        PracticeError: it is no folder, something is in it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise PracticeError(f"{folder} is not empty, and nothing in it is overwritten: name a new folder")
        for each in skeleton():
            (folder / each.name).write_bytes(each.read_bytes())
        readme = folder / "README.md"
        readme.write_text(_as_pasted(readme.read_text(encoding="utf-8"), folder), encoding="utf-8")
    except FileExistsError:
        raise PracticeError(f"{folder} is a file: name a new folder") from None
    except OSError as error:
        raise PracticeError(f"{folder} cannot be written: {error.strerror or error}") from None
    return [folder / each.name for each in skeleton()]


def _as_pasted(readme: str, folder: Path) -> str:
    """The page with its commands as they run in the exercise's folder."""
    start = shlex.quote(f"exec {shlex.quote(sys.executable)} {SERVICE}")
    readme = readme.replace(f"'exec python {SERVICE}'", start)
    return readme.replace("\npayments-verify ", f"\n{command_line(folder=folder)} ")


def command_of(folder: Path) -> str:
    """The shell command that starts the service of a folder, with this Python.

    Raises:
        PracticeError: there is no exercise.
    """
    for name in (SERVICE, BINDING):
        if not (folder / name).is_file():
            raise PracticeError(
                f"{folder} has no {name}: `{command_line('practice', 'new')} DIR` writes it to a new folder"
            )
    return f"cd {shlex.quote(str(folder.absolute()))} && exec {shlex.quote(sys.executable)} {SERVICE}"
