"""Generated mutants of the model and of the domain, by cosmic-ray: each is noticed, or argued away by name.

It works on a copy of the tree, because cosmic-ray changes files where they are. A session that was ended goes
on where it was.

    make mutation                                # all that is left to try
    make mutation MUTATION_ARGS="--minutes 5"    # a piece of it
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tests.mutation.survivors import argued, summed_up

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
WORK = ROOT / "build" / "mutation"
COPIED = ("model", "impl", "tests/model", "tests/impl", "tests/support", "tests/mutation/mutation.toml")


def main(
    minutes: Annotated[float | None, typer.Option(min=0, help="End after this time; run it again.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the session.")] = False,
    survivors: Annotated[Path, typer.Option(help="The survivors that are argued away.")] = HERE
    / "survivors.toml",
) -> None:
    """Try what is left of the session, and sum it up.

    Exit codes: 0 every mutant is noticed or argued away; 1 one is not, or is argued away and does not
    survive; 2 not all were tried, or it could not run.
    """
    try:
        reasons = argued(survivors)
        tool = _tool()
        folder = _session(tool, fresh=fresh)
    except (OSError, ValueError, msgspec.MsgspecError, subprocess.CalledProcessError) as error:
        typer.echo(f"mutation: {error}", err=True)
        raise typer.Exit(2) from error
    _try([tool, "exec", "mutation.toml", "../session.sqlite"], folder, minutes)
    found = summed_up(_output([tool, "dump", "../session.sqlite"], folder).splitlines())
    unargued = [change for change in found.survived if change not in reasons]
    stale = [] if found.waiting else [change for change in reasons if change not in found.survived]
    for change in unargued:
        typer.echo(f"survives: {change}")
    for change in stale:
        typer.echo(f"argued away, and does not survive: {change}")
    for problem in found.broken:
        typer.echo(f"could not be tried: {problem}")
    typer.echo(
        f"{found.killed} noticed, {len(found.survived) - len(unargued)} argued away, {len(unargued)} survive,"
        f" {found.skipped} left out by their operator, {found.waiting} not tried yet"
    )
    if unargued or stale:
        raise typer.Exit(1)
    raise typer.Exit(2 if found.waiting or found.broken else 0)


def _tool() -> str:
    path = Path(sys.executable).parent / "cosmic-ray"
    if not path.exists():
        raise FileNotFoundError("cosmic-ray is not installed; `make mutation` installs it")
    return str(path)


def _session(tool: str, *, fresh: bool) -> Path:
    """The copy of the tree, with a session beside it: the one that is there, if it is of the same sources."""
    mark = WORK / "sources"
    now = _sources()
    known = mark.read_text() if mark.exists() else ""
    folder = WORK / "tree"
    is_new = fresh or known != now
    if is_new:
        shutil.rmtree(WORK, ignore_errors=True)
    # Also for a session that goes on: a mutant may stand where the last one was ended.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copy(HERE / "mutation.toml", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "tests" / "__init__.py").touch()
    if not is_new:
        return folder
    config = tomllib.loads((folder / "mutation.toml").read_text())["cosmic-ray"]
    _run(config["test-command"].split(), folder)  # on the code as it is
    _run([tool, "init", "mutation.toml", "../session.sqlite"], folder)
    _run([f"{Path(tool).parent}/cr-filter-operators", "../session.sqlite", "mutation.toml"], folder)
    mark.write_text(now)
    return folder


def _sources() -> str:
    digest = hashlib.sha256()
    for name in COPIED:
        files = sorted((ROOT / name).rglob("*")) if (ROOT / name).is_dir() else [ROOT / name]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _environment(folder: Path) -> dict[str, str]:
    """The copy comes first, and pytest loads no plugins: a run takes a second, not six."""
    paths = os.pathsep.join(str(folder / name) for name in ("model", "impl"))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "PATH": programs, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, env=_environment(folder), check=True, stdout=subprocess.DEVNULL)


def _try(command: list[str], folder: Path, minutes: float | None) -> None:
    """Try what is left, and after so long no more."""
    with subprocess.Popen(
        command, cwd=folder, env=_environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(None if minutes is None else minutes * 60)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.send_signal(signal.SIGINT)
            typer.echo("ended before everything was tried; run it again to go on", err=True)


def _output(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=_environment(folder), check=True, capture_output=True, text=True
    )
    return done.stdout


if __name__ == "__main__":
    typer.run(main)
