"""A release: each distribution, installed into an empty environment as users do, and what it brings run.

    make dist

Exit codes: 0 all can be released; 1 one cannot; 2 it could not be tried.
"""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import typer

import payments_core
from lab.release.distributions import Distribution, Distributions
from lab.steps import Shell, Steps, UnableError, ViolationError
from pgweave.embedded import temporary_postgres

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "dist"
TRIALS = Path(__file__).parent / "trials"
HISTORY = ROOT / "specs" / "histories" / "locked-capture.jsonl"
_FIND = "from payments_core.entrypoints.own_database import find"
_RACE = ("--system", "in-memory", "--scenario", "different-keys")
TRIED: dict[str, list[tuple[list[str], int, str]]] = {
    "payments-core": [
        (["payments-core", "--help"], 2, "pip install 'CHECKOUT[service]'"),
    ],
    "payments-core[service]": [
        (["payments-core", "--help"], 0, "serve"),
        (["payments-core", "openapi"], 0, '"openapi"'),
        (["python", f"{TRIALS}/service.py"], 0, "ready: 200"),
    ],
    "payments-core[client]": [
        (["python", f"{TRIALS}/capture.py"], 0, "captured 1000 under order-1"),
    ],
    "payments-core[embedded]": [
        (["python", "-c", f"{_FIND}; print(find('kept').__module__)"], 0, "payments_demo.databases"),
    ],
    "payments-client": [
        (["python", f"{TRIALS}/capture.py"], 0, "captured 1000 under order-1"),
    ],
    "pgweave": [
        (["pgweave", "--help"], 0, "replay"),
    ],
    "pgweave[postgres]": [
        (["python", f"{TRIALS}/exploration.py"], 0, "a booking was lost"),
    ],
    "payments-verify": [
        (["payments-verify", "--help"], 0, "conformance"),
        (["payments-verify", "history", str(HISTORY)], 0, ": holds"),
        (["payments-verify", "practice", "--help"], 0, "check"),
        (["payments-verify", "explore", *_RACE], 0, "different-keys"),
    ],
}
"""For each distribution, with its extras: what is run, the exit code, and what it says."""


def main(uv: str) -> None:
    """Build, look into, install and run; ``uv`` is the program that installs."""
    steps = Steps()
    distributions = Distributions(ROOT, payments_core.__version__)
    try:
        shell = Shell(FOLDER.with_suffix(".log"))
        with steps.step("build, each as an sdist, and its wheel from that") as told:
            wheels = built(distributions, uv, shell)
            told += [f"{each.name}, {each.stat().st_size / 1e3:.0f} kB" for each in wheels.values()]
        with steps.step("look into them"):
            require_none([*contents_complaints(wheels, distributions.named), *version_complaints(wheels)])
        with database_for(shell):
            for requirement in TRIED:
                with steps.step(f"{requirement} in an empty environment") as told:
                    told.append(tried(requirement, wheels, uv, shell))
    except UnableError as error:
        typer.echo(f"dist: not tried: {error}", err=True)
        sys.exit(2)
    except ViolationError as error:
        typer.echo(f"dist: {error}", err=True)
        sys.exit(1)
    typer.echo(f"{', '.join(wheels)} {payments_core.__version__}: all can be released; they lie in {FOLDER}")


def built(distributions: Distributions, uv: str, shell: Shell) -> dict[str, Path]:
    """The wheels, newly built, by the names of their distributions; the sdists lie beside them."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    wheels = {}
    for name in distributions.named:
        project = FOLDER.parent / "dist-projects" / name
        shutil.rmtree(project, ignore_errors=True)
        distributions.write(name, project)
        of_this = ("--python", sys.executable, "--no-build-isolation", "--no-create-gitignore")
        shell.do(uv, "build", "--quiet", *of_this, "--out-dir", FOLDER, project)
        (wheels[name],) = FOLDER.glob(f"{name.replace('-', '_')}-*.whl")
    return wheels


def require_none(complaints: list[str]) -> None:
    """Raise what there is to complain about as a ViolationError."""
    if complaints:
        raise ViolationError("\n".join(complaints))


def contents_complaints(wheels: dict[str, Path], named: dict[str, Distribution]) -> list[str]:
    """What the wheels hold beside the packages of their distributions, and what they lack of them."""
    complaints = []
    for name, wheel in wheels.items():
        packages = [Path(package).name for package in named[name].packages]
        held = zipfile.ZipFile(wheel).namelist()
        folders = {PurePosixPath(each).parts[0] for each in held}
        allowed = {*packages, wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}
        complaints += [f"{wheel.name} holds {each}" for each in sorted(folders - allowed)]
        wanted = ("LICENSE", *(f"{package}/py.typed" for package in packages))
        complaints += [
            f"{wheel.name} lacks {each}" for each in wanted if not any(there.endswith(each) for there in held)
        ]
        complaints += [f"{wheel.name} holds {each}" for each in held if "__pycache__" in each]
    return complaints


def version_complaints(wheels: dict[str, Path]) -> list[str]:
    """Where another version stands than in `payments_core.__version__`."""
    version = payments_core.__version__
    complaints = [
        f"{each.name} is not {version}" for each in wheels.values() if f"-{version}-" not in each.name
    ]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if version not in headings:
        complaints.append(f"CHANGELOG.md has no entry for {version}")
    return complaints


@contextmanager
def database_for(shell: Shell) -> Iterator[None]:
    """An empty database, which every program is given as ``DATABASE_URL``."""
    with temporary_postgres() as server:
        shell.environment["DATABASE_URL"] = server.dsn()
        yield


def tried(requirement: str, wheels: dict[str, Path], uv: str, shell: Shell) -> str:
    """Install one with its extras into an empty environment, and run its programs; what was run.

    Raises:
        ViolationError: a program does not do what it should.
    """
    environment = FOLDER.parent / "dist-environment"
    shell.do(uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    # The others are these, wherever else something of their names may be found.
    constraints = FOLDER.parent / "dist-constraints.txt"
    constraints.write_text("".join(f"{name} @ {wheel.as_uri()}\n" for name, wheel in wheels.items()))
    shell.do(uv, "pip", "install", "--quiet", "--python", python, "--constraints", constraints, requirement)
    for command, code, says in TRIED[requirement]:
        ended = shell.ask(environment / "bin" / command[0], *command[1:], limit_s=300)
        printed = ended.stdout + ended.stderr
        if ended.returncode != code or says not in printed or "Traceback" in printed:
            raise ViolationError(f"{' '.join(command)} ended with {ended.returncode}, not {code}:\n{printed}")
    shutil.rmtree(environment)
    return f"{len(TRIED[requirement])} programs run"


if __name__ == "__main__":
    typer.run(main)
