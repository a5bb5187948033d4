"""The parts of the benchmark: each measures one thing, and refuses a run in which something failed."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab.bench.service import pgbench
from lab.bench.service.agreement import compare
from lab.bench.service.database import Database, copy, database
from lab.bench.service.load import Load, LoadError, send
from lab.bench.service.processes import cpu_us, machine_us, memory
from lab.bench.service.results import (
    EARLIER_ONE,
    FLOOR_ONE,
    ONE,
    OTHER_ONE,
    OTHER_TWO,
    PGBENCH,
    PGBENCH_ONE,
    TWO,
    HalfLoad,
    Lifecycle,
    MeasuredRun,
    Sample,
    Sized,
    percentile,
)
from lab.bench.service.servers import ALTERNATIVE, EARLIER, FLOOR, SERVICE, SESSIONS, TOKEN, Server, serving
from pgweave.embedded import EmbeddedPostgres

CONNECTIONS = 10
"""Clients of everybody: as many as a process has sessions, so that nobody waits for one."""
OPEN_CONNECTIONS = 64
"""Where clients come at a rate: so many that hardly one waits for another's to be free."""
WARM_UP_S = 1
_SESSION_ENDS_S = 0.5
_OURS = {ONE: (SERVICE, 1), TWO: (SERVICE, 2), EARLIER_ONE: (EARLIER, 1), FLOOR_ONE: (FLOOR, 1)}
_SERVERS = {**_OURS, OTHER_ONE: (ALTERNATIVE, 1), OTHER_TWO: (ALTERNATIVE, 2)}
_PIPELINES = {PGBENCH: 2, PGBENCH_ONE: 1}
_PER_SECOND = 15_000
"""More captures than anything here can do: a run that comes to the end of its payments is refused."""


class DisagreementError(RuntimeError):
    """The servers that are compared do not do the same; the message says where."""


class Usage:
    """Processor time within a block, in µs: of a server, of the database, and of all others."""

    server: int = 0
    database: int = 0
    others: float = 0.0


@contextmanager
def used(postgres: EmbeddedPostgres, server: Server | None) -> Iterator[Usage]:
    """Measure who uses the processors during the block; the result is complete after it."""

    def now() -> tuple[int, int, int, float]:
        waited = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = time.process_time() + waited.ru_utime + waited.ru_stime
        return (cpu_us(server.pid) if server else 0, cpu_us(postgres.pid), machine_us(), ours * 1e6)

    usage, before, began = Usage(), now(), time.perf_counter()
    yield usage
    seconds = time.perf_counter() - began
    usage.server, usage.database, machine, ours = (
        int(after - first) for after, first in zip(now(), before, strict=True)
    )
    others = machine - usage.server - usage.database - ours
    usage.others = max(0.0, others / (seconds * 1e6 * (os.cpu_count() or 1)))


def require_agreement(postgres: EmbeddedPostgres) -> None:
    """Ask the service and the other stack the same, and see that they answer the same.

    Raises:
        DisagreementError: they do not.
    """
    with (
        database(postgres, 1) as one,
        database(postgres, 1) as other,
        serving(SERVICE, one.dsn) as ours,
        serving(ALTERNATIVE, other.dsn) as theirs,
    ):
        found = compare((ours.url, TOKEN), (theirs.url, TOKEN))
    if found:
        raise DisagreementError("the two stacks answer differently:\n" + "\n".join(found))


def payments_for(seconds: float) -> int:
    """How many authorized payments a run of so many seconds needs."""
    return int((WARM_UP_S + seconds) * _PER_SECOND)


def run(postgres: EmbeddedPostgres, template: str, name: str, seconds: float) -> MeasuredRun:
    """Let one contestant capture for some seconds, in a copy of a database with `payments_for` so many.

    Raises:
        LoadError, PgbenchError: something failed, or not everything that was answered is stored.
    """
    measured = _pgbench if name in _PIPELINES else _served
    return measured(postgres, template, name, seconds)


def _served(postgres: EmbeddedPostgres, template: str, name: str, seconds: float) -> MeasuredRun:
    kind, workers = _SERVERS[name]
    warm = WARM_UP_S * _PER_SECOND
    with copy(postgres, template) as stored:
        with serving(kind, stored.dsn, workers) as server:
            before = _capture(server, WARM_UP_S, 0)
            with used(postgres, server) as usage:
                load = _capture(server, seconds, warm)
        _require_stored(stored, before.requests + load.requests)
        return MeasuredRun(
            name=name,
            captures=load.requests,
            per_second=load.per_second,
            p50=load.p50,
            p99=load.p99,
            p999=load.p999,
            server_us=usage.server / load.requests,
            database_us=usage.database / load.requests,
            others=usage.others,
            hot=stored.hot().share,
        )


def _pgbench(postgres: EmbeddedPostgres, template: str, name: str, seconds: float) -> MeasuredRun:
    each = payments_for(seconds) // SESSIONS
    with copy(postgres, template) as stored:
        warm = WARM_UP_S * _PER_SECOND // SESSIONS
        script = pgbench.script(_PIPELINES[name], 0, each)
        before = pgbench.run(stored.dsn, script, seconds=WARM_UP_S, clients=SESSIONS)
        script = pgbench.script(_PIPELINES[name], warm, each)
        with used(postgres, None) as usage:
            found = pgbench.run(stored.dsn, script, seconds=seconds, clients=SESSIONS)
            # Its sessions end with it, and their time is told by their parent, once that has seen it.
            time.sleep(_SESSION_ENDS_S)
        _require_stored(stored, before.transactions + found.transactions)
        return MeasuredRun(
            name=name,
            captures=found.transactions,
            per_second=found.per_second,
            p50=percentile(found.latencies, 0.5),
            p99=percentile(found.latencies, 0.99),
            p999=percentile(found.latencies, 0.999),
            server_us=0,
            database_us=usage.database / found.transactions,
            others=usage.others,
            hot=stored.hot().share,
        )


def half_load(postgres: EmbeddedPostgres, template: str, rate: float, seconds: float) -> HalfLoad:
    """Send captures at a rate, by as many clients as it takes: `OPEN_CONNECTIONS`.

    Raises:
        LoadError: something failed.
    """
    warm = WARM_UP_S * _PER_SECOND
    with copy(postgres, template) as stored, serving(SERVICE, stored.dsn) as server:
        _capture(server, WARM_UP_S, 0)
        arguments = [TOKEN, str(warm), f"{rate:.3f}"]
        with used(postgres, server) as usage:
            load = send(server.url, "paced.lua", arguments, seconds=seconds, connections=OPEN_CONNECTIONS)
    return HalfLoad(
        rate=rate,
        captures=load.requests,
        per_second=load.per_second,
        p50=percentile(load.latencies, 0.5),
        p99=percentile(load.latencies, 0.99),
        p999=percentile(load.latencies, 0.999),
        others=usage.others,
    )


def lifecycle(postgres: EmbeddedPostgres, seconds: float) -> Lifecycle:
    """Create, authorize and capture payments over HTTP, and count the updates that touched no index.

    Raises:
        LoadError: something failed.
    """
    with database(postgres, 0) as stored:
        with serving(SERVICE, stored.dsn) as server:
            send(
                server.url,
                "lifecycle.lua",
                [TOKEN, "0", "1000000"],
                seconds=seconds,
                connections=CONNECTIONS,
                threads=CONNECTIONS,
            )
        hot = stored.hot()
        return Lifecycle(stored.captured(), hot.updates, hot.hot)


def memory_over(postgres: EmbeddedPostgres, captures: int) -> list[Sample]:
    """The memory of one server while it makes so many captures, ten times a second.

    Raises:
        LoadError: something failed.
    """
    samples: list[Sample] = []
    with database(postgres, captures + CONNECTIONS) as stored:
        with serving(SERVICE, stored.dsn) as server, ThreadOfLoad(server, captures) as load:
            began = time.perf_counter()
            while load.running:
                time.sleep(0.1)
                samples.append(Sample(int((time.perf_counter() - began) * 1e6), memory(server.pid)))
        done = load.result()
        _require_stored(stored, done.requests)
    # The load is even, so that the time tells how many captures there have been.
    return [
        Sample(min(captures, round(sample.captures * done.per_second / 1e6)), sample.memory)
        for sample in samples
    ]


class ThreadOfLoad:
    """A number of captures, made beside what else this process does."""

    def __init__(self, server: Server, captures: int) -> None:
        self._found: Load | Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(server, captures))

    def __enter__(self) -> ThreadOfLoad:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @property
    def running(self) -> bool:
        """Whether it is not done."""
        return self._thread.is_alive()

    def result(self) -> Load:
        """What the load saw, after its end.

        Raises:
            LoadError: it failed.
        """
        if not isinstance(self._found, Load):
            raise LoadError(str(self._found)) from self._found
        return self._found

    def _run(self, server: Server, captures: int) -> None:
        try:
            self._found = _capture(server, captures, 0, limit=captures)
        except Exception as error:  # noqa: BLE001 - raised again by result
            self._found = error


def sized(postgres: EmbeddedPostgres, stored: Database, payments: int, first: int, captures: int) -> Sized:
    """The cost of a capture in this database, which has so many payments; captured are some from all over it.

    Raises:
        LoadError: something failed.
    """
    warm = captures // 10
    step = payments // (captures + warm + 2 * CONNECTIONS)
    with serving(SERVICE, stored.dsn) as server:
        _capture(server, captures, first, step=step, limit=warm)
        stored.settle()
        begin = first + step * (warm + CONNECTIONS)
        with used(postgres, server) as usage:
            load = _capture(server, captures, begin, step=step, limit=captures)
    return Sized(
        payments=payments,
        server_us=usage.server / load.requests,
        database_us=usage.database / load.requests,
        others=usage.others,
    )


def _capture(server: Server, seconds: float, first: int, step: int = 1, limit: int = 0) -> Load:
    arguments = [TOKEN, str(first), str(step), str(limit)]
    return send(server.url, "capture.lua", arguments, seconds=seconds, connections=CONNECTIONS)


def _require_stored(stored: Database, answered: int) -> None:
    """See that whatever was answered is stored, and no more than what was on its way when the load ended.

    Raises:
        LoadError: it is not.
    """
    captured, attempts = stored.captured(), stored.attempts()
    if not answered <= captured <= answered + 2 * CONNECTIONS or captured != attempts:
        raise LoadError(
            f"{answered} captures were answered with success, and {captured} payments are captured, by "
            f"{attempts} attempts"
        )
