"""A session of cosmic-ray on a copy of the tree, since it changes files where they are.

A session that was ended goes on where it was, as long as the sources and the interpreter are the same.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from payments_verify.cli.progress import Report

TOOL = Path(sys.executable).parent / "cosmic-ray"
_CONFIG, _SESSION = "mutation.toml", "../session.sqlite"
_LOOK_S = 0.5


@dataclass(frozen=True)
class Setting:
    """What is changed and tried, and where.

    Attributes:
        root: the tree.
        work: a folder for the copy, and for the session beside it.
        config: cosmic-ray's configuration, from the root.
        copied: the folders and files that the copy consists of, from the root.
    """

    root: Path
    work: Path
    config: str
    copied: Sequence[str]

    @property
    def copy(self) -> Path:
        """The copy of the tree."""
        return self.work / "tree"


def tried(setting: Setting, report: Report, *, minutes: float | None, fresh: bool) -> list[str]:
    """Try what is left of the session, for so long; what ``cosmic-ray dump`` then says.

    Args:
        setting: what is changed and tried.
        report: is told how many mutants have been tried, and of how many.
        minutes: after this time no more is tried.
        fresh: whether a session that is there is forgotten.

    Raises:
        OSError: if cosmic-ray is not installed, or a file is missing.
        RuntimeError: if the tests fail on the code as it is, or cosmic-ray fails; it says how.
    """
    if not TOOL.exists():
        raise FileNotFoundError("cosmic-ray is not installed; `make mutation` installs it")
    _prepare(setting, fresh=fresh)
    done, total = _progress(setting)
    if done < total:
        _try(setting, report, minutes)
    return _output([str(TOOL), "dump", _SESSION], setting).splitlines()


def _prepare(setting: Setting, *, fresh: bool) -> None:
    mark = setting.work / "sources"
    now = _sources(setting)
    is_known = not fresh and mark.exists() and mark.read_text() == now
    if not is_known:
        shutil.rmtree(setting.work, ignore_errors=True)
    # Also for a session that goes on: a mutant may stand where the last one was ended.
    shutil.rmtree(setting.copy, ignore_errors=True)
    _copy(setting)
    if is_known:
        return
    config = tomllib.loads((setting.copy / _CONFIG).read_text())["cosmic-ray"]
    _output(shlex.split(config["test-command"]), setting)  # on the code as it is
    _output([str(TOOL), "init", _CONFIG, _SESSION], setting)
    _output([f"{TOOL.parent}/cr-filter-operators", _SESSION, _CONFIG], setting)
    mark.write_text(now)


def _copy(setting: Setting) -> None:
    for name in setting.copied:
        source, target = setting.root / name, setting.copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copy(setting.root / setting.config, setting.copy / _CONFIG)
    (setting.copy / "tests" / "__init__.py").touch()


def _sources(setting: Setting) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for name in (*setting.copied, setting.config):
        path = setting.root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(setting.root)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _try(setting: Setting, report: Report, minutes: float | None) -> None:
    ends = None if minutes is None else time.monotonic() + minutes * 60
    with TemporaryFile("w+") as said:
        command = [str(TOOL), "exec", _CONFIG, _SESSION]
        with subprocess.Popen(
            command,
            cwd=setting.copy,
            env=_environment(setting),
            stdout=said,
            stderr=said,
            # In the background SIGINT is ignored, also by what is started there, and ends nothing.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        ) as process:
            try:
                is_done = _watch(process, setting, report, ends)
            except KeyboardInterrupt:
                is_done = False
            if not is_done:
                process.send_signal(signal.SIGINT)
        if is_done and process.returncode:
            raise RuntimeError(_failure(command, process.returncode, said))


def _watch(process: subprocess.Popen[bytes], setting: Setting, report: Report, ends: float | None) -> bool:
    """Wait, and tell how far it has come; whether it came to its end before the time was up."""
    while process.poll() is None:
        report(*_progress(setting), "mutants")
        if ends is not None and time.monotonic() >= ends:
            return False
        time.sleep(_LOOK_S)
    return True


def _progress(setting: Setting) -> tuple[int, int]:
    """How many mutants have been tried or left out, and how many there are."""
    connection = sqlite3.connect(setting.copy / _SESSION, timeout=60)
    try:
        [counts] = connection.execute(
            "SELECT (SELECT count(*) FROM work_results), (SELECT count(*) FROM work_items)"
        )
    finally:
        connection.close()
    return counts[0], counts[1]


def _environment(setting: Setting) -> Mapping[str, str]:
    """The copy comes first, and pytest loads no plugins: a run takes a second, not six."""
    paths = os.pathsep.join(str(setting.copy / name) for name in ("model", "impl"))
    programs = os.pathsep.join([str(TOOL.parent), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "PATH": programs, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _output(command: Sequence[str], setting: Setting) -> str:
    with TemporaryFile("w+") as said:
        done = subprocess.run(
            command,
            cwd=setting.copy,
            env=_environment(setting),
            check=False,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        if done.returncode:
            said.write(done.stdout)
            raise RuntimeError(_failure(command, done.returncode, said))
    return done.stdout


def _failure(command: Sequence[str], code: int, said: IO[str]) -> str:
    said.seek(0)
    return f"`{' '.join(command[:2])} …` ended with {code}:\n{said.read()[-2000:]}"
