"""Make the trials, side by side, and keep what came of each, so that a run can be taken up again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import msgspec

from lab.mutants.plan import Planned
from lab.mutants.trial import Interrupted, Trial

OnTrial = Callable[[int, int, Planned, float], None]
"""Is told how many trials are done, of how many, the last, and the seconds that the others may take."""

_WAKE_S = 0.2


class Kept:
    """Results in a folder, a file for each key.

    Args:
        folder: the folder; made if missing.
        fresh: whether what is there does not count.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self._folder = folder
        self._fresh = fresh
        folder.mkdir(parents=True, exist_ok=True)

    def known(self, keys: Iterable[str]) -> dict[str, Trial]:
        """What is kept under some keys; nothing, and not any more, if that does not count."""
        if self._fresh:
            for key in keys:
                (self._folder / f"{key}.json").unlink(missing_ok=True)
        return {key: trial for key in keys if (trial := self.get(key)) is not None}

    def get(self, key: str) -> Trial | None:
        """What is kept under a key; one that cannot be read is none."""
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=Trial)
        except (OSError, msgspec.MsgspecError):
            return None

    def put(self, key: str, trial: Trial) -> None:
        """Keep a result. Without a verdict it is not: the reason, or the load, may be gone."""
        if trial.state in ("no verdict", "timed out"):
            return
        path = self._folder / f"{key}.json"
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(trial)))
        partial.replace(path)


def run_all(
    plan: Sequence[Planned],
    trees: Mapping[str, Path],
    kept: Kept,
    left_behind: Path,
    *,
    workers: int,
    make_trial: Callable[..., Trial],
    seconds: float | None = None,
    on_trial: OnTrial = lambda *_: None,
) -> dict[str, Trial]:
    """Make every trial that is not kept; what came of each, by its key.

    What is finished is kept, and returned. At the end of the time the trials that run come to their ends; an
    interrupt ends them.

    Args:
        plan: the trials.
        trees: a copy of the package for each row.
        kept: earlier results, and where new ones go.
        left_behind: where schedules and histories go.
        workers: how many run side by side.
        make_trial: makes one, as `run_trial` does, but for the PostgreSQL to run, which it knows.
        seconds: begin none after so long.
        on_trial: is told of each.
    """
    unique = {each.key: each for each in plan}
    done = kept.known(unique)
    waiting = [each for key, each in unique.items() if key not in done]
    stop = threading.Event()
    began = time.monotonic()
    running: dict[Future[Trial], Planned] = {}

    def begin(each: Planned, executor: ThreadPoolExecutor) -> None:
        place = left_behind / each.row.strip("()").replace(" ", "-") / each.technique.name
        tree = trees[each.row]
        started = executor.submit(make_trial, each.technique, each.arguments, tree, place, stop=stop)
        running[started] = each

    with ThreadPoolExecutor(workers) as executor:
        try:
            while waiting or running:
                if seconds is not None and time.monotonic() - began > seconds:
                    waiting.clear()
                while waiting and len(running) < workers:
                    begin(waiting.pop(0), executor)
                for future in wait(running, _WAKE_S, FIRST_COMPLETED).done:
                    each = running.pop(future)
                    done[each.key] = future.result()
                    kept.put(each.key, done[each.key])
                    on_trial(len(done), len(unique), each, _left(waiting, done, unique, workers))
        except KeyboardInterrupt:
            stop.set()
            for future, each in running.items():
                with suppress(Interrupted):
                    done[each.key] = future.result()
                    kept.put(each.key, done[each.key])
        finally:
            stop.set()  # whatever else went wrong, the trials that run are not waited for
    return done


def _left(
    waiting: Sequence[Planned], done: Mapping[str, Trial], unique: Mapping[str, Planned], workers: int
) -> float:
    """How long the trials that wait may take: as long as those of their technique took."""
    took: dict[str, list[float]] = {}
    for key, trial in done.items():
        took.setdefault(unique[key].technique.name, []).append(trial.wall_s)
    guesses = (
        sum(took[name]) / len(took[name]) if name in took else each.technique.limit_s / 10
        for each in waiting
        for name in [each.technique.name]
    )
    return sum(guesses) / workers
