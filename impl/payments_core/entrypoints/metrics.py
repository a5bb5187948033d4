"""Prometheus metrics of the service.

Several processes that serve one port share theirs through files: ``serve --workers N`` sees to that, and
another process manager sets ``PROMETHEUS_MULTIPROC_DIR`` to an empty folder before the processes start.
Whichever process is asked then answers for all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from payments_core.entrypoints.bulk import Bulk

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_NOTED_AT_MOST = 1_000
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

_Note = tuple[Callable[..., object], tuple[object, ...]]


class Metrics:
    """The metrics of one application. Labels take few values: routes are templates, not paths.

    Events are collected and counted together: at most 10 ms later, and always before the metrics are read.
    """

    def __init__(self) -> None:
        self.noted: Bulk[_Note] = Bulk(_count, _NOTED_AT_MOST)
        self._registry = registry = CollectorRegistry()
        histogram = partial(Histogram, registry=registry, buckets=_SECONDS)
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        self._requests = histogram(
            "payments_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            ["method", "route", "status"],
        )
        self._observers: dict[tuple[str, str, str], Histogram] = {}
        self._in_flight = gauge(
            "payments_http_requests_in_flight",
            "Requests that are being served or wait for a connection.",
            multiprocess_mode="livesum",
        )
        self._rejected = counter(
            "payments_http_requests_rejected",
            "Requests that were refused or given up for a limit.",
            ["reason"],
        )
        self._captures = counter("payments_captures", "Captures that were decided, by outcome.", ["outcome"])
        self._replays = counter(
            "payments_capture_replays",
            "Captures that were answered with the stored answer, by its outcome.",
            ["outcome"],
        )
        self._outcomes: dict[tuple[str, bool], Counter] = {}
        self._pool_wait = histogram(
            "payments_pool_wait_seconds", "Time until a request got a connection to the database, or none."
        )
        self._lock_wait = histogram(
            "payments_lock_wait_seconds",
            "Time of the round trip that locks a payment, the wait for others included.",
        )
        self._conflicts = counter(
            "payments_transaction_conflicts", "Transactions that the database took back because of others."
        )
        self._background = gauge(
            "payments_background_task_running",
            "Whether a task that no request asks for runs: 1, or 0 if it has ended or stands still.",
            ["task"],
            multiprocess_mode="livemin",
        )
        self._last_sweep = gauge(
            "payments_last_sweep_timestamp_seconds",
            "When the background sweeper last swept without an error; of several processes, the earliest.",
            multiprocess_mode="livemin",
        )
        self._expired = counter("payments_expired", "Payments that the background sweeper expired.")

    def request_began(self) -> None:
        """A request has come."""
        self._note(self._in_flight.inc)

    def request_ended(self, method: str, route: str, status: str, seconds: float) -> None:
        """A request has been answered, or has ended without an answer."""
        self._note(self._count_request, method, route, status, seconds)

    def rejected(self, reason: str) -> None:
        """A request was refused or given up for a limit."""
        self._note(self._rejected.labels(reason).inc)

    def captured(self, outcome: str, replayed: bool) -> None:
        """A capture was answered, by a decision or with the answer that is stored."""
        self._note(self._count_capture, outcome, replayed)

    def pool_wait(self, seconds: float) -> None:
        """A request waited this long for a connection."""
        self._note(self._pool_wait.observe, seconds)

    def lock_wait(self, seconds: float) -> None:
        """A request waited this long for a payment's lock and what is read under it."""
        self._note(self._lock_wait.observe, seconds)

    def conflict(self) -> None:
        """The database took a transaction back."""
        self._note(self._conflicts.inc)

    def expired(self, payments: int) -> None:
        """The sweeper expired so many payments."""
        self._note(self._expired.inc, payments)

    def swept(self) -> None:
        """The sweeper came to its end."""
        self._note(self._last_sweep.set_to_current_time)

    def background(self, task: str, runs: bool) -> None:
        """A task that no request asks for runs, or does not any more."""
        self._note(self._background.labels(task).set, runs)

    def _note(self, counting: Callable[..., object], *arguments: object) -> None:
        self.noted.add((counting, arguments))

    def _count_request(self, method: str, route: str, status: str, seconds: float) -> None:
        self._in_flight.dec()
        known = method if method in _METHODS else "other"
        labels = known, route, status
        observer = self._observers.get(labels)
        if observer is None:
            observer = self._observers[labels] = self._requests.labels(*labels)
        observer.observe(seconds)

    def _count_capture(self, outcome: str, replayed: bool) -> None:
        key = outcome, replayed
        counter = self._outcomes.get(key)
        if counter is None:
            counter = (self._replays if replayed else self._captures).labels(outcome)
            self._outcomes[key] = counter
        counter.inc()

    def exposition(self) -> bytes:
        """All of them as Prometheus text: of this process, or of all where several serve one port."""
        self.noted.flush()
        folder = os.environ.get(MULTIPROCESS_VARIABLE)
        if folder is None:
            return generate_latest(self._registry)
        _forget_the_dead(Path(folder))
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared, folder)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def _count(noted: list[_Note]) -> None:
    for counting, arguments in noted:
        counting(*arguments)


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """Within the block, processes that are started count together, unless the environment says where to."""
    if MULTIPROCESS_VARIABLE in os.environ:
        yield
        return
    with TemporaryDirectory(prefix="payments-core-metrics-") as folder:
        os.environ[MULTIPROCESS_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[MULTIPROCESS_VARIABLE]


def _forget_the_dead(folder: Path) -> None:
    """Requests in flight of a process that was killed are in flight no more."""
    for file in folder.glob("gauge_live*_*.db"):
        process = file.stem.rpartition("_")[2]
        if process.isdigit() and not _is_alive(int(process)):
            multiprocess.mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and somebody else's
    return True
