"""The load: wrk, a load generator written in C, with scripts that capture a fresh payment in each request."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

SCRIPTS = Path(__file__).parent
PROGRAM = "wrk"
_GRACE_S = 30
_RESULT = re.compile(r"^result (\{.*\})$", re.MULTILINE)


class LoadError(RuntimeError):
    """The load could not be produced, or not all was captured; the message says what happened."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What wrk saw.

    Attributes:
        requests: how many were answered.
        microseconds: for how long it sent.
        refused: answers with a status of 400 or above.
        broken: connections that failed, and answers that did not come in time.
        p50, p99, p999: percentiles of the time until the answer, in µs; 0 where the script has its own list.
        latencies: from when each request was to be sent until its answer, in µs, where a script notes that.
    """

    requests: int
    microseconds: int
    refused: int
    broken: int
    p50: int = 0
    p99: int = 0
    p999: int = 0
    latencies: list[int] = []

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.microseconds * 1e6


def find_wrk() -> str:
    """Where wrk is.

    Raises:
        LoadError: it is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise LoadError(
            f"{PROGRAM}, the load generator, is not installed; on Debian and Ubuntu: apt-get install wrk, "
            "on macOS: brew install wrk, elsewhere: https://github.com/wg/wrk"
        )
    return found


def send(
    url: str, script: str, arguments: Sequence[str], *, seconds: float, connections: int, threads: int = 1
) -> Load:
    """Send requests for some seconds.

    Args:
        url: the service's.
        script: the name of a script of this folder.
        arguments: of the script, after the folder.
        seconds: for how long, a whole number.
        connections: how many requests are on their way at any time.
        threads: of wrk.

    Raises:
        LoadError: wrk is not installed or failed, or an answer was no success.
    """
    command = [find_wrk(), f"-t{threads}", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPTS / script), url, "--", str(SCRIPTS), *arguments]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=seconds + _GRACE_S,
        check=False,
        env={**os.environ, "BENCH_SCRIPTS": str(SCRIPTS)},
    )
    if ended.returncode != 0:
        raise LoadError(f"wrk ended with {ended.returncode}: {ended.stderr.strip()[-2_000:]}")
    return require_success(parse(ended.stdout))


def parse(printed: str) -> Load:
    """What the scripts have wrk print in the end.

    Raises:
        LoadError: it is not there.
    """
    found = _RESULT.search(printed)
    if found is None:
        raise LoadError(f"wrk printed no result: {printed.strip()[-2_000:]}")
    try:
        return msgspec.json.decode(found[1], type=Load)
    except msgspec.MsgspecError as error:
        raise LoadError(f"wrk printed no result that can be read: {error}: {found[1][:200]}") from error


def require_success(load: Load) -> Load:
    """The same, if everything succeeded: a refusal is faster than a capture.

    Raises:
        LoadError: something was refused or broken, or nothing answered.
    """
    if load.refused or load.broken or not load.requests:
        raise LoadError(
            f"of {load.requests} requests {load.refused} were refused and {load.broken} broke: "
            "figures of such a run would not be those of captures"
        )
    return load
