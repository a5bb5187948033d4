"""A release: wheel and sdist, each installed into empty environments as users do, and run.

    make dist

Exit codes: 0 both can be released; 1 one cannot; 2 it could not be tried.
"""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import typer

import payments_core
from tests.support.steps import Shell, Steps, UnableError, ViolationError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "dist"
PACKAGES = (
    "payments_client",
    "payments_core",
    "payments_demo",
    "payments_model",
    "payments_verify",
    "pgweave",
)
HISTORY = ROOT / "specs" / "histories" / "locked-capture.jsonl"
_NOTHING_OF_THE_SERVER = """
import payments_client
from importlib.util import find_spec
names = ("psycopg", "starlette", "uvicorn", "typer", "icontract", "hypothesis")
found = [name for name in names if find_spec(name)]
assert not found, f"the client came with {found}"
"""
TRIED: dict[str, list[tuple[list[str], int, str]]] = {
    "client": [
        (["python", "-c", _NOTHING_OF_THE_SERVER], 0, ""),
        (["payments-core", "--help"], 2, "pip install 'payments-core[service]'"),
        (["payments-verify", "--help"], 2, "pip install 'payments-core[verify]'"),
    ],
    "service": [
        (["payments-core", "--help"], 0, "serve"),
        (["payments-core", "openapi"], 0, '"openapi"'),
    ],
    "verify": [
        (["payments-core", "--help"], 0, "serve"),
        (["payments-verify", "--help"], 0, "conformance"),
        (["payments-verify", "history", str(HISTORY)], 0, "ok"),
    ],
}
"""For each extra: what is run, the exit code, and what it says."""


def main(uv: str) -> None:
    """Build, look into, install and run; ``uv`` is the program that installs."""
    steps = Steps()
    try:
        shell = Shell(FOLDER.with_suffix(".log"))
        with steps.step("build wheel and sdist") as told:
            artifacts = built(shell)
            told += [f"{each.name}, {each.stat().st_size / 1e6:.1f} MB" for each in artifacts]
        with steps.step("look into them"):
            require_none([*contents_complaints(artifacts), *version_complaints(artifacts)])
        for artifact in artifacts:
            for extra in TRIED:
                with steps.step(f"{artifact.name}[{extra}] in an empty environment") as told:
                    told.append(tried(artifact, extra, uv, shell))
    except UnableError as error:
        typer.echo(f"dist: not tried: {error}", err=True)
        sys.exit(2)
    except ViolationError as error:
        typer.echo(f"dist: {error}", err=True)
        sys.exit(1)
    typer.echo(f"payments-core {payments_core.__version__}: both can be released; they lie in {FOLDER}")


def built(shell: Shell) -> list[Path]:
    """Wheel and sdist, newly built."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    shell.do(sys.executable, "-m", "hatchling", "build", "--directory", FOLDER)
    return sorted(FOLDER.iterdir())


def require_none(complaints: list[str]) -> None:
    """Raise what there is to complain about as a ViolationError."""
    if complaints:
        raise ViolationError("\n".join(complaints))


def contents_complaints(artifacts: list[Path]) -> list[str]:
    """What the artifacts hold that they should not, or lack."""
    complaints = []
    for artifact in artifacts:
        held = _names(artifact)
        folders = {PurePosixPath(name).parts[0] for name in held}
        if artifact.suffix == ".whl":
            allowed = {*PACKAGES, artifact.name.removesuffix("-py3-none-any.whl") + ".dist-info"}
            complaints += [f"{artifact.name} holds {name}" for name in sorted(folders - allowed)]
        wanted = ("LICENSE", *(f"{package}/py.typed" for package in PACKAGES))
        complaints += [
            f"{artifact.name} lacks {name}"
            for name in wanted
            if not any(each.endswith(name) for each in held)
        ]
        complaints += [f"{artifact.name} holds {name}" for name in held if "__pycache__" in name]
    return complaints


def version_complaints(artifacts: list[Path]) -> list[str]:
    """Where another version stands than in `payments_core.__version__`."""
    version = payments_core.__version__
    complaints = [f"{each.name} is not {version}" for each in artifacts if f"-{version}" not in each.name]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    if version not in headings:
        complaints.append(f"CHANGELOG.md has no entry for {version}")
    return complaints


def tried(artifact: Path, extra: str, uv: str, shell: Shell) -> str:
    """Install one with an extra into an empty environment, and run its programs; what was run.

    Raises:
        ViolationError: a program does not do what it should.
    """
    environment = FOLDER.parent / "dist-environment"
    shell.do(uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    shell.do(
        uv, "pip", "install", "--quiet", "--python", python, f"payments-core[{extra}] @ {artifact.as_uri()}"
    )
    for command, code, says in TRIED[extra]:
        ended = shell.ask(environment / "bin" / command[0], *command[1:])
        printed = ended.stdout + ended.stderr
        if ended.returncode != code or says not in printed or "Traceback" in printed:
            raise ViolationError(f"{' '.join(command)} ended with {ended.returncode}, not {code}:\n{printed}")
    shutil.rmtree(environment)
    return f"{len(TRIED[extra])} programs run"


def _names(artifact: Path) -> list[str]:
    if artifact.suffix == ".whl":
        with zipfile.ZipFile(artifact) as wheel:
            return wheel.namelist()
    with tarfile.open(artifact) as sdist:
        return sdist.getnames()


if __name__ == "__main__":
    typer.run(main)
