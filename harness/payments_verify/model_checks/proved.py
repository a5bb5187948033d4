"""What CrossHair proved before, of the same sources with the same tools: it is not proved twice.

An answer is kept only if it proves something, and under a hash of everything it depends on: the sources of
the function's module and of all modules of ours that this imports, those of the worker that asks CrossHair,
the question, and the versions of Python, CrossHair, Z3 and icontract.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from payments_verify.model_checks.workers import WORKER, Job, OnFinding, run_jobs

TOOLS = ("crosshair-tool", "icontract", "z3-solver")
_KEPT_S = 90 * 86_400.0


def default_folder() -> Path | None:
    """Where proofs are kept: in the user's cache (XDG Base Directory Specification); ``None`` without one."""
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # a user without a home
        return None
    return Path(cache) / "payments-verify" / "proved"


def told_before(used: int, total: int) -> str:
    """How much of what was to be proved was proved before, for people; empty if nothing was."""
    return f"{used} of {total} proved before, of the same sources" if used else ""


@dataclass
class Proved:
    """The answers that prove something, in a folder.

    Attributes:
        folder: the folder; ``None`` to remember nothing.
        again: whether to ask everything again, and remember the new answers.
        used: how many answers were taken from it.
    """

    folder: Path | None = None
    again: bool = False
    used: int = 0
    _digests: dict[str, str] = field(default_factory=dict)

    def run_jobs(
        self,
        jobs: Sequence[Job],
        on_finding: OnFinding,
        proves: Callable[[dict[str, Any]], bool],
        parallel: int | None = None,
    ) -> dict[Job, str]:
        """Hand on what is known of the jobs, and run the others, see `run_jobs`.

        Args:
            jobs: what to run.
            on_finding: called with the job and each finding.
            proves: whether a finding proves something.
            parallel: how many children run at a time.

        Returns:
            For each job that did not run to its end: why.
        """
        if self.folder is None:
            return run_jobs(jobs, on_finding, parallel)
        asked: list[Job] = []
        for job in jobs:
            known = None if self.again else self._known(job)
            if known is None:
                asked.append(job)
            for finding in known or ():
                self.used += 1
                on_finding(job, finding)
        found: dict[Job, list[dict[str, Any]]] = defaultdict(list)

        def take(job: Job, finding: dict[str, Any]) -> None:
            found[job].append(dict(finding))
            on_finding(job, finding)

        problems = run_jobs(asked, take, parallel) if asked else {}
        for job, findings in found.items():
            if job not in problems and all(map(proves, findings)):
                self._remember(job, findings)
        return problems

    def _known(self, job: Job) -> list[dict[str, Any]] | None:
        try:
            file = self._file(job)
            findings: list[dict[str, Any]] = json.loads(file.read_bytes())["findings"]
            os.utime(file)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return findings

    def _remember(self, job: Job, findings: Sequence[dict[str, Any]]) -> None:
        content = json.dumps({"question": job.arguments, "findings": findings}, indent=1)
        with suppress(OSError):  # what cannot be kept is proved again
            file = self._file(job)
            file.parent.mkdir(parents=True, exist_ok=True)
            for old in file.parent.glob("*.json"):
                if time.time() - old.stat().st_mtime > _KEPT_S:
                    old.unlink()
            # At once or not at all: another run may read it.
            with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as new:
                new.write(content)
            Path(new.name).replace(file)

    def _file(self, job: Job) -> Path:
        assert self.folder is not None
        functions = [each for each in job.arguments[1:] if "." in each and not _is_number(each)]
        digests = [self._digest(function.rpartition(".")[0]) for function in functions]
        return self.folder / f"{_hash(json.dumps([digests, job.arguments]).encode())}.json"

    def _digest(self, module: str) -> str:
        """A hash of the sources and tools on which answers about a module's functions depend."""
        if module not in self._digests:
            tools = [platform.python_version(), *map(version, TOOLS)]
            sources = {name: _hash(file.read_bytes()) for name, file in sources_of(module, WORKER).items()}
            self._digests[module] = _hash(json.dumps([tools, sources], sort_keys=True).encode())
        return self._digests[module]


def sources_of(*modules: str) -> dict[str, Path]:
    """The files of modules and of all that they import of our packages, by the modules' names.

    Ours are the packages that the modules themselves belong to, and those named ``payments_...``.
    """
    roots = {module.partition(".")[0] for module in modules}
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        root = name.partition(".")[0]
        if name in found or not (root in roots or root.startswith("payments_")):
            continue
        file = _file_of(name)
        if file is None:
            continue
        found[name] = file
        waiting += [name.rpartition(".")[0]] if "." in name else []
        waiting += _imports(ast.parse(file.read_bytes()), name, is_package=file.name == "__init__.py")
    return found


def _file_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None  # the name of something in a module
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def _imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """The names that may be modules among what a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".") if is_package else module.split(".")[:-1]
            base = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
