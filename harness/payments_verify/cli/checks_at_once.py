"""The checks of the main job, some at once, each in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self, TypeAlias

from payments_verify.cli import check_process
from payments_verify.cli.check_process import Came, Failed, Found, MainJob, Message, Ready
from payments_verify.result import CheckResult, unfinished

_END_S = 60.0
_CHILD = f"from {check_process.__name__} import main; import sys; main(int(sys.argv[1]))"


@dataclass
class Job:
    """How far the main job has come.

    Attributes:
        titles: those of the checks; empty until a process is ready.
        version: that of PostgreSQL.
        found: what the checks found that have ended, by their place.
        under_way: how far those have come that run, by their place.
    """

    titles: Sequence[str] = ()
    version: str = "not started"
    found: dict[int, Sequence[CheckResult]] = field(default_factory=dict)
    under_way: dict[int, Came] = field(default_factory=dict)

    @property
    def results(self) -> list[CheckResult]:
        """Everything that was found, in the order of the checks."""
        return [result for number in sorted(self.found) for result in self.found[number]]


OnChange: TypeAlias = Callable[[Job, Sequence[CheckResult]], object]
"""Is told of the job when something has come, and of the results that are new."""


def run_at_once(count: int, plan: MainJob, job: Job, on_change: OnChange) -> None:
    """Make every check of the main job, some at once.

    Args:
        count: how many at once.
        plan: what to try.
        job: where it is noted how far it has come.
        on_change: is told of each change.

    Raises:
        EmbeddedPostgresError: no server can be started; the message says why and what to do.
        KeyboardInterrupt: it was interrupted; what was found until then is noted.
    """
    with _Processes(plan, job, on_change) as processes:
        for _ in range(count):
            processes.start()
        while processes.take():
            pass


class _Process:
    """A child process, and the place of the check that it makes."""

    def __init__(self, plan: MainJob) -> None:
        ours, its = socket.socketpair()
        with its:
            self._popen = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-c", _CHILD, str(its.fileno())],
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's interrupt comes to the command, which hands it on
            )
        self.connection = Connection(ours.detach())
        self.connection.send(plan)
        self.number: int | None = None
        self.is_ready = False

    def make(self, number: int | None) -> None:
        """Let it make a check; let it end, if that is none."""
        self.number = number
        with suppress(OSError):  # it has ended: that is seen where it is listened to
            self.connection.send(number)

    def received(self) -> Message | None:
        """What it says next; ``None`` if it has ended."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return None
        return message

    def interrupt(self) -> None:
        """Let it end, with what it has found."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGINT)

    def ended_by(self) -> str:
        """Wait for its end; by what it ended."""
        code = self._popen.wait(_END_S)
        return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with {code}"

    def close(self) -> None:
        """Wait for its end, or bring it about."""
        self.connection.close()
        try:
            self._popen.wait(_END_S)
        except BaseException:
            self._popen.kill()
            self._popen.wait()
            raise


class _Processes:
    """The processes that make the checks of a job; left by an error, they end with what they have found."""

    def __init__(self, plan: MainJob, job: Job, on_change: OnChange) -> None:
        self._plan = plan
        self._job = job
        self._on_change = on_change
        self._left: deque[int] | None = None
        self._running: list[_Process] = []
        self._ended: list[_Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if error is not None:
            self._interrupt()
        for process in (*self._running, *self._ended):
            process.close()

    def start(self) -> None:
        """Start one more."""
        self._running.append(_Process(self._plan))

    def take(self) -> bool:
        """Wait for what they say, and take it; whether there is more to come."""
        ready = wait([process.connection for process in self._running])
        for process in [each for each in self._running if each.connection in ready]:
            message = process.received()
            if message is None:
                self._take_end(process)
            else:
                self._take(process, message)
        return bool(self._running)

    def _take(self, process: _Process, message: Message) -> None:
        new: Sequence[CheckResult] = ()
        match message:
            case Failed(error):
                raise error
            case Ready():
                process.is_ready = True
                self._take_titles(message)
                self._give_next(process)
            case Came() if process.number is not None:
                self._job.under_way[process.number] = message
            case Found(results) if process.number is not None:
                new = results
                self._note(process.number, results)
                self._give_next(process)
        self._on_change(self._job, new)

    def _take_titles(self, ready: Ready) -> None:
        self._job.titles, self._job.version = ready.titles, ready.version
        if self._left is None:
            # The longest first: else one of them runs at the end, alone.
            places = range(len(ready.titles))
            self._left = deque(sorted(places, key=lambda each: each not in ready.longest))

    def _give_next(self, process: _Process) -> None:
        process.make(self._left.popleft() if self._left else None)
        if process.number is not None:
            self._job.under_way[process.number] = Came(0, 0, "")

    def _take_end(self, process: _Process) -> None:
        """Note that a process has ended, and start another in its place if it was not to end."""
        self._running.remove(process)
        self._ended.append(process)
        if not process.is_ready and not self._running and not self._job.titles:
            raise OSError(f"no check could be made: {process.ended_by()}")
        if process.number is None:
            return
        lost = [unfinished(self._job.titles[process.number], process.ended_by())]
        self._note(process.number, lost)
        if self._left:
            self.start()
        self._on_change(self._job, lost)

    def _note(self, number: int, results: Sequence[CheckResult]) -> None:
        self._job.under_way.pop(number, None)
        self._job.found[number] = results

    def _interrupt(self) -> None:
        """Let all end, and note what they had found."""
        for process in self._running:
            process.interrupt()
        for process in self._running:
            while (message := process.received()) is not None:
                if isinstance(message, Found) and message.results and process.number is not None:
                    self._note(process.number, message.results)
                    self._on_change(self._job, message.results)
