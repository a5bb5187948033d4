"""The quick part of the suite on each supported Python: those of this machine, and one in a container.

    make test-pythons

Exit codes: 0 it passes on all of them; 1 it fails on one; 2 one is missing here.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from lab.containers.bases import Bases
from lab.containers.engine import engine
from lab.containers.image import pip_secrets
from lab.steps import Shell, Steps, UnableError, ViolationError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "pythons"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
_LIMIT_S = 3600.0
_FAILED = (1, 2)
"""What pytest ends with where tests fail, or cannot be collected."""
QUICK = (
    *("tests/model", "tests/client", "tests/impl", "tests/contract/test_contract.py"),
    *("tests/pgweave/gate", "tests/pgweave/interleavings", "tests/pgweave/sql"),
)
SLOW = (
    *("cancellation", "cli_model", "contention", "containers", "embedded", "embedded_environments"),
    *("ended_sessions", "environment", "equivalence", "hostile_server", "limits", "minimize", "observed"),
    *("outages", "sharded", "soundness", "state_graph", "strange_databases", "sync_replication"),
)
"""Files of these folders that take long, and wait for databases and processes more than they run Python."""
_ARGUMENTS = (
    *("-q", "-n", "2", "-p", "no:cacheprovider"),
    *QUICK,
    *(f"--ignore-glob=*/test_{name}.py" for name in SLOW),
)
_IN_CONTAINER = f"""
set -eu
mkdir /work && cd /work
tar --directory=/source --exclude=./.venv* --exclude=./build --exclude=./.git --create . | tar --extract
python -m venv --without-pip /venv
pip="python -m pip --python /venv/bin/python install --quiet"
$pip --require-hashes --requirement requirements.lock
$pip --no-deps --no-build-isolation --editable .
exec /venv/bin/python -m pytest {shlex.join(_ARGUMENTS)}
"""
_SUMMARY = re.compile(r"^(?:=+ )?(\d+ (?:passed|failed|errors?).*? in [\d.]+s.*?)(?: =+)?$", re.MULTILINE)


def main(versions: Annotated[list[str] | None, typer.Argument(help="These alone.")] = None) -> None:
    """Run it on each, tell of each in a line, and end with the exit code."""
    shell, steps = Shell(FOLDER / "log"), Steps()
    codes = [_told(version, shell, steps) for version in versions or VERSIONS]
    sys.exit(1 if 1 in codes else max(codes))


def _told(version: str, shell: Shell, steps: Steps) -> int:
    with steps.step(f"Python {version}") as told:
        python = installed(version)
        try:
            if python is None:
                told.append("not installed here, in a container")
                told.append(in_container(version, shell))
            else:
                told.append(on_this_machine(version, python, shell))
        except UnableError as error:
            told.append(f"not tried: {error}")
            return 2
        except ViolationError as error:
            told.append(str(error))
            return 1
    return 0


def installed(version: str) -> str | None:
    """A Python of this version that runs here: on the PATH, or one of pyenv's; ``None`` if there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    known = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    shell = Shell(FOLDER / "looking")
    tell = "import sys; print('%d.%d' % sys.version_info[:2])"
    return next(
        (
            each
            for each in known
            if each is not None and shell.ask(each, "-c", tell).stdout.strip() == version
        ),
        None,
    )


def on_this_machine(version: str, python: str, shell: Shell) -> str:
    """Run it in an environment of its own; the summary.

    Raises:
        UnableError: the environment cannot be made.
        ViolationError: a test fails.
    """
    environment = FOLDER / version
    shell.do("make", f"--directory={ROOT}", f"PYTHON={python}", f"VENV={environment}", "sync")
    ended = shell.ask(environment / "bin" / "pytest", *_ARGUMENTS, limit_s=_LIMIT_S)
    return judged(ended.returncode, ended.stdout + ended.stderr)


def in_container(version: str, shell: Shell) -> str:
    """Run it in a container of the image that ours is built on; the summary.

    Raises:
        UnableError: no engine, or no image of this version.
        ViolationError: a test fails.
    """
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    image = next(
        iter(re.findall(rf"^FROM (python:{re.escape(version)}\.\S+)", dockerfile, re.MULTILINE)), None
    )
    if image is None:
        raise UnableError("not installed, and no image of ours is built on it")
    with ExitStack() as stack:
        stack.enter_context(engine(shell))
        Bases(ROOT / "build" / "containers", shell).provide(image)
        secrets = pip_secrets(shell, FOLDER)
        mounts = {ROOT: "/source", secrets["pip"]: "/etc/pip.conf"}
        mounts |= {secrets["ca"]: "/run/secrets/ca"} if "ca" in secrets else {}
        volumes = [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
        words = ("run", "--rm", "--network=host", *volumes, image, "sh", "-c", _IN_CONTAINER)
        ended = shell.ask("docker", *words, limit_s=_LIMIT_S)
    return judged(ended.returncode, ended.stdout + ended.stderr)


def judged(code: int, printed: str) -> str:
    found = _SUMMARY.findall(printed)
    if code == 0 and found:
        return str(found[-1])
    told = f"pytest ended with {code}\n" + "\n".join(printed.splitlines()[-40:])
    # What ends so before pytest does, as pip, has no summary of tests; pytest's other codes are no result.
    raise (ViolationError if code in _FAILED and found else UnableError)(told)


if __name__ == "__main__":
    typer.run(main)
