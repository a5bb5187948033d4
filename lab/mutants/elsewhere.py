"""Trials on the workers of an executor: a copy of the package goes there, and what came of it comes back."""

from __future__ import annotations

import io
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path

from lab.mutants.techniques import MAIN_JOB, Technique, techniques
from lab.mutants.trial import Interrupted, Trial, run_trial

_WAKE_S = 0.2


@dataclass(frozen=True)
class Elsewhere:
    """Makes trials on workers; called as `run_trial` is.

    A trial that runs is not ended from here: where it is not waited for any more, its own time limit ends it.

    Attributes:
        executor: the workers. Each has this package, and a PostgreSQL.
        scenarios: what the techniques explore, by name.
    """

    executor: Executor
    scenarios: tuple[str, ...]

    def __call__(
        self,
        technique: Technique,
        arguments: tuple[str, ...],
        mutant: Path,
        left_behind: Path,
        *,
        bin_dir: Path | None,
        stop: threading.Event,
    ) -> Trial:
        """Have a technique run against the package in a folder.

        Args:
            technique: the technique.
            arguments: its command line.
            mutant: the folder that holds the package.
            left_behind: where schedules and histories go.
            bin_dir: the PostgreSQL to run there; the worker's choice if not given.
            stop: set to wait no longer.

        Raises:
            Interrupted: if it was set.
        """
        sent = self.executor.submit(
            run_sent, technique.name, self.scenarios, arguments, packed(mutant), bin_dir
        )
        trial, files = _awaited(sent, stop)
        unpack(files, left_behind)
        return trial


def run_sent(
    name: str, scenarios: Sequence[str], arguments: tuple[str, ...], package: bytes, bin_dir: Path | None
) -> tuple[Trial, bytes]:
    """Make a trial, here, of a package that was sent.

    Args:
        name: the technique's.
        scenarios: what the techniques explore, by name.
        arguments: the command line.
        package: the folder that holds it, packed.
        bin_dir: the PostgreSQL to run; the harness's choice if not given.

    Returns:
        What came of it, and the packed folder of what was left behind.
    """
    known = (*techniques(scenarios).values(), MAIN_JOB)
    technique = next(each for each in known if each.name == name)
    with tempfile.TemporaryDirectory(prefix="payments-trial-") as folder:
        mutant, left_behind = Path(folder) / "mutant", Path(folder) / "left-behind"
        unpack(package, mutant)
        trial = run_trial(technique, arguments, mutant, left_behind, bin_dir=bin_dir, stop=threading.Event())
        return trial, packed(left_behind)


def packed(folder: Path) -> bytes:
    """The files of a folder; none if it is not there."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(folder))
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write the files of a packed folder to a folder, which is made if there are any."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)


def _awaited(sent: Future[tuple[Trial, bytes]], stop: threading.Event) -> tuple[Trial, bytes]:
    while not wait([sent], _WAKE_S).done:
        if stop.is_set():
            sent.cancel()
            raise Interrupted
    return sent.result()
