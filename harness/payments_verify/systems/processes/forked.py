"""Processes of `payments-core`, forked from one that has imported it: some hundredths of a second each.

Each has secrets in its settings, and starts in a folder whose files say otherwise than they do.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import site
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from payments_verify.systems.processes import forking, traps
from payments_verify.systems.processes.printed import (
    ENVIRONMENT,
    password_in,
    printed_secret,
    with_secrets,
)
from pgweave.service.process_group import end_group

_SERVING = re.compile(r"^serving on http://(\S+):(\d+)$", re.MULTILINE)
_LOOK_S = 0.01
_STOP_LIMIT_S = 30.0
_DATABASE = "DATABASE_URL"
_PRINTS_ONE = "token"
"""The command whose output is a secret."""
_ITS_OWN = ("PAYMENTS_", "OTEL_", "PROMETHEUS_", "PG")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code; that of a signal is negative.
        output: what it wrote to standard output.
        errors: what it wrote to standard error.
    """

    code: int
    output: str
    errors: str


@dataclass(frozen=True)
class Process:
    """A process of the service.

    Attributes:
        pid: its process id.
        code: its exit code, once it has ended.
        output: the file of its standard output.
        errors: that of its standard error.
    """

    pid: int
    code: asyncio.Future[int]
    output: Path
    errors: Path

    async def ended(self) -> Ended:
        """Wait for its end."""
        return Ended(await self.code, self.output.read_text(), self.errors.read_text())

    def terminate(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, by)

    async def address(self) -> tuple[str, int] | None:
        """Where it serves, once it says so; ``None`` if it ends before."""
        while not self.code.done():
            if (found := _SERVING.search(self.output.read_text())) is not None:
                return found[1], int(found[2])
            await asyncio.sleep(_LOOK_S)
        return None


class Forks:
    """Forks processes of the service.

    Args:
        parent: the program `forking`.
        folder: where they write to.

    Attributes:
        given: the settings that some process was given.
        options: the options, each after its command.
    """

    def __init__(self, parent: asyncio.subprocess.Process, folder: Path) -> None:
        self._parent = parent
        self.given: set[str] = set()
        self.options: set[str] = set()
        self._made: list[tuple[Sequence[str], Process]] = []
        self._passwords: set[str] = set()
        self._numbers = count()
        self._folder = folder
        self._begun: dict[int, asyncio.Future[int]] = {}
        self._ended: dict[int, asyncio.Future[int]] = {}

    async def begin(self, *arguments: str, **variables: str) -> Process:
        """Begin a process.

        Args:
            arguments: the command and its arguments.
            variables: its settings; those of the environment are not its own.

        Raises:
            RuntimeError: the service cannot be imported.
        """
        assert self._parent.stdin is not None
        number, loop = next(self._numbers), asyncio.get_running_loop()
        output, errors = (self._folder / f"{number}.{what}" for what in ("output", "errors"))
        output.touch()
        self.given.update(variables)
        self.options.update(f"{arguments[0]} {each}" for each in arguments[1:] if each.startswith("--"))
        if _DATABASE in variables:
            self._passwords.add(password_in(variables[_DATABASE]))
            variables[_DATABASE] = with_secrets(variables[_DATABASE], as_url=bool(number % 2))
        self._begun[number], self._ended[number] = loop.create_future(), loop.create_future()
        asked = {
            "number": number,
            "arguments": arguments,
            "variables": {**_environment(), **ENVIRONMENT, "HOME": str(self._folder), **variables},
            "output": str(output),
            "errors": str(errors),
        }
        self._parent.stdin.write(json.dumps(asked).encode() + b"\n")
        made = Process(await self._begun[number], self._ended[number], output, errors)
        self._made.append((arguments, made))
        return made

    async def run(self, *arguments: str, **variables: str) -> Ended:
        """Run a process to its end; the arguments are those of `begin`."""
        return await (await self.begin(*arguments, **variables)).ended()

    def printed_secret(self, tokens: Collection[str]) -> str | None:
        """Which secret of its settings, or which of the tokens, a process has printed so far, if one has."""
        known = {*tokens, *self._passwords}
        for arguments, each in self._made:
            if arguments[0] != _PRINTS_ONE:
                printed = each.output.read_text() + each.errors.read_text()
                if (wrong := printed_secret(arguments, printed, known)) is not None:
                    return wrong
        return None

    async def listen(self) -> None:
        """Hear what becomes of the processes."""
        assert self._parent.stdout is not None
        async for line in self._parent.stdout:
            told: Mapping[str, int] = json.loads(line)
            if "code" in told:
                self._ended[told["number"]].set_result(told["code"])
            else:
                self._begun[told["number"]].set_result(told["pid"])
        for each in (*self._begun.values(), *self._ended.values()):
            if not each.done():
                each.set_exception(RuntimeError("the program that forks the service's processes has ended"))


@asynccontextmanager
async def forks() -> AsyncIterator[Forks]:
    """What forks processes, until the block ends, and they with it."""
    with tempfile.TemporaryDirectory(prefix="payments-verify-") as folder:
        traps.lay(Path(folder))
        parent = await asyncio.create_subprocess_exec(
            *_program(),
            cwd=folder,
            env={**os.environ, **_import_path()},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        made = Forks(parent, Path(folder))
        listening = asyncio.create_task(made.listen())
        try:
            yield made
        finally:
            await end_group(parent, _STOP_LIMIT_S)
            await listening


def _program() -> Sequence[str]:
    return sys.executable, "-P", forking.__file__


def _environment() -> Mapping[str, str]:
    """This process' environment, without what may be meant for the service."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_ITS_OWN)}
    return {**{name: value for name, value in own.items() if name != _DATABASE}, **_import_path()}


def _import_path() -> Mapping[str, str]:
    """Where Python finds what it imports, from another folder and with another home, too."""
    given = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(str(Path(each).absolute()) for each in given.split(os.pathsep) if each)
    return {"PYTHONPATH": path, "PYTHONUSERBASE": site.getuserbase()}
