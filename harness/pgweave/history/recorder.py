"""Records a history as it happens, in the format of `pgweave.history.json_lines`."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from pgweave.history.json_lines import FORMAT_NAME, FORMAT_VERSION, Header
from pgweave.history.operations import History, HistoryError, Json
from pgweave.history.pairing import Event, Pairing


class Recorder:
    """Writes a history to a file as it happens; each event is flushed before the call returns.

    Safe to share between threads and tasks. Call `invoke` before a request is sent and `respond` after its
    response has arrived: then every operation took effect between its two events, and the order of the lines
    is real time.

        with Recorder(path, spec="kv") as recorder:
            recorder.invoke(3, "put", {"key": "k1", "value": "1"})
            recorder.respond(3, "ok", {"status": 201})
    """

    def __init__(self, path: Path, spec: str) -> None:
        self._lock = threading.Lock()
        self._pairing = Pairing()
        self._spec = spec
        self._file = path.open("wb")
        self._write(msgspec.json.encode(Header(FORMAT_NAME, FORMAT_VERSION, spec)))

    def invoke(self, process: int, f: str, value: Json) -> None:
        """Record an invocation.

        Args:
            process: The client; a number that had an unknown outcome is not used again.
            f: The name of the command.
            value: Its argument; any JSON value.

        Raises:
            HistoryError: The process has an open invocation or is retired, or the value is not JSON.
        """
        with self._lock:
            self._record(Event("invoke", process, f, value, time.monotonic_ns()))

    def respond(self, process: int, kind: Literal["ok", "fail", "unknown"], value: Json) -> None:
        """Record the response to the open invocation of a process.

        Args:
            process: The client.
            kind: `ok`, `fail`, or `unknown`, which retires the process.
            value: The content of the response; any JSON value.

        Raises:
            HistoryError: The process has no open invocation, or the value is not JSON.
        """
        with self._lock:
            f = self._pairing.open_command(process)
            self._record(Event(kind, process, f, value, time.monotonic_ns()))

    def history(self) -> History:
        """Return what has been recorded so far; what has no response yet is unknown."""
        with self._lock:
            return History(self._pairing.operations(), spec=self._spec)

    def _record(self, event: Event) -> None:
        try:
            line = msgspec.json.encode(event)
            event = msgspec.json.decode(line, type=Event)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise HistoryError(f"process {event.process}: not a valid event: {error}") from None
        self._pairing.add(event)
        self._write(line)

    def _write(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; invocations without a response stay open in it."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
