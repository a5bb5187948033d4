"""The contract gate: CrossHair must confirm every contract of the model over all paths.

CrossHair runs a function on symbolic values and asks an SMT solver, on each path, whether a postcondition can
be false (https://crosshair.readthedocs.io). It answers confirmed, refuted with arguments, or not confirmed,
which it treats as no problem. Here it is one: the gate passes only if all that there are were confirmed.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import FunctionType, ModuleType
from typing import Any, Literal, TypeAlias

from payments_verify.model_checks.proved import Proved, told_before
from payments_verify.model_checks.workers import Job
from payments_verify.result import CheckResult, Progress, findings_kept, no_progress
from pgweave.verdict import worst

MODEL = "payments_model"
CONDITION_SECONDS = 30.0
"""CPU seconds for one condition."""

BATCH = 3
"""Conditions per child process: enough to pay for its start, few enough to share a function's among cores."""

WALL_PER_CPU = 6.0
"""How many times its CPU time a child may take before it is killed: others may use the machine too."""

START_SECONDS = 60.0
"""Wall-clock seconds for a child to start and import, on such a machine."""

NOT_DECIDED = "it was not come to"

Status: TypeAlias = Literal["confirmed", "refuted", "not confirmed"]


@dataclass(frozen=True)
class Condition:
    """One postcondition of one function.

    Attributes:
        function: the function's full name.
        index: its place among the function's postconditions, as icontract holds them.
        line: the line of its condition in the source.
        text: its description: the invariant's id, a colon and what it says.
    """

    function: str
    index: int
    line: int
    text: str

    @property
    def invariant(self) -> str:
        """The invariant's id, as in ``"I1"``."""
        return self.text.partition(":")[0]

    @property
    def says(self) -> str:
        """What it says, without the invariant's id."""
        return self.text.partition(":")[2].strip() or self.text


@dataclass(frozen=True)
class Finding:
    """What CrossHair found out about one condition: the message is its own; ``seconds`` are wall-clock."""

    condition: Condition
    status: Status
    message: str
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The finding and its condition as one JSON object."""
        return {
            **asdict(self.condition),
            "invariant": self.condition.invariant,
            "says": self.condition.says,
            "status": self.status,
            "message": self.message,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        condition = self.condition
        return (
            f"{condition.function}, line {condition.line}: {condition.text}\n  {self.status}: {self.message}"
        )


def discover(package: str) -> list[Condition]:
    """Every postcondition of every function and method of a package, in the order of the sources.

    Raises:
        ImportError: if a module of the package cannot be imported.
    """
    found = [
        Condition(name, index, contract.condition.__code__.co_firstlineno, contract.description or "")
        for module in _modules(package)
        for name, function in _functions(module, module.__name__, module)
        for index, contract in enumerate(getattr(function, "__postconditions__", ()))
    ]
    return sorted(found, key=lambda condition: (condition.function.rpartition(".")[0], condition.line))


def check_contracts(
    package: str = MODEL,
    *,
    select: Callable[[Condition], bool] = lambda _condition: True,
    seconds: float = CONDITION_SECONDS,
    parallel: int | None = None,
    proved: Proved | None = None,
    progress: Progress = no_progress,
) -> CheckResult:
    """Let CrossHair decide the contracts of a package.

    Args:
        package: the package's name.
        select: which conditions to decide; by default all.
        seconds: CPU seconds for one condition.
        parallel: how many child processes at a time; by default, as many as there are processors.
        proved: what was proved before of the same sources; nothing if not given.
        progress: called after each condition.

    Returns:
        ``holds`` if each is confirmed, ``violated`` if one is refuted, else ``no verdict``. The details
        are ``confirmed``, ``proved_before``, ``total`` and ``conditions``: for each, what was found.
    """
    started = time.perf_counter()
    proved = proved or Proved()
    try:
        conditions = [condition for condition in discover(package) if select(condition)]
    except Exception as error:  # noqa: BLE001 - whatever a model's module raises, there is no verdict
        reason = f"{package} cannot be imported: {type(error).__name__}: {error}"
        return _result(package, [], 0, time.perf_counter() - started, reason)
    found: dict[Condition, Finding] = {}

    def result() -> CheckResult:
        seconds_so_far = time.perf_counter() - started
        return _result(
            package,
            findings(conditions, found),
            proved.used,
            seconds_so_far,
            f"{package} has no such contract",
        )

    with findings_kept(result):
        decide(conditions, found, seconds=seconds, parallel=parallel, proved=proved, progress=progress)
        return result()


def findings(conditions: Sequence[Condition], found: Mapping[Condition, Finding]) -> list[Finding]:
    """What was found about each condition; of those that were not come to, that nothing was."""
    return [found.get(each) or Finding(each, "not confirmed", NOT_DECIDED, 0.0) for each in conditions]


def decide(
    conditions: Sequence[Condition],
    found: dict[Condition, Finding],
    *,
    seconds: float = CONDITION_SECONDS,
    parallel: int | None = None,
    proved: Proved | None = None,
    progress: Progress = no_progress,
) -> None:
    """Let CrossHair decide conditions; one that it says nothing of is not confirmed.

    Args:
        conditions: the conditions.
        found: where it is noted what is found about each, as it is found.
        seconds: CPU seconds for one condition.
        parallel: how many child processes at a time; by default, as many as there are processors.
        proved: what was proved before of the same sources; nothing if not given.
        progress: called after each condition.
    """
    by_place = {(condition.function, condition.index): condition for condition in conditions}

    def take(job: Job, answer: dict[str, Any]) -> None:
        condition = by_place[job.arguments[1], answer["index"]]
        found[condition] = _finding(condition, answer)
        progress(len(found), len(conditions), f"{condition.function.rpartition('.')[2]}: {condition.text}")

    jobs = {_job(batch, seconds): batch for batch in batches(conditions)}
    problems = (proved or Proved()).run_jobs(list(jobs), take, _proves, parallel)
    for job, batch in jobs.items():
        for condition in batch:
            silent = problems.get(job, "CrossHair said nothing of it")
            found.setdefault(condition, Finding(condition, "not confirmed", silent, 0.0))


def _proves(answer: Mapping[str, Any]) -> bool:
    return bool(answer["confirmed"]) and not answer["refuted"]


def _finding(condition: Condition, answer: dict[str, Any]) -> Finding:
    status: Status = "not confirmed"
    if answer["refuted"]:
        status = "refuted"
    elif answer["line"] != condition.line:
        answer["message"] = f"CrossHair decided the condition in line {answer['line']} in its place"
    elif answer["confirmed"]:
        status = "confirmed"
    return Finding(condition, status, answer["message"], answer["seconds"])


def batches(conditions: Sequence[Condition]) -> list[list[Condition]]:
    """A few conditions of one function each; those of the function with most of them, the slowest, first."""
    by_function: dict[str, list[Condition]] = defaultdict(list)
    for condition in conditions:
        by_function[condition.function].append(condition)
    return [
        group[first : first + BATCH]
        for group in sorted(by_function.values(), key=len, reverse=True)
        for first in range(0, len(group), BATCH)
    ]


def _job(batch: Sequence[Condition], seconds: float) -> Job:
    indices = (str(condition.index) for condition in batch)
    limit = START_SECONDS + WALL_PER_CPU * seconds * len(batch)
    return Job(("check", batch[0].function, str(seconds), *indices), limit)


_VERDICTS = {"confirmed": "holds", "refuted": "violated"}
"""What CrossHair's words say; all its others are no verdict."""


def _result(
    package: str, findings: Sequence[Finding], proved_before: int, seconds: float, no_conditions: str
) -> CheckResult:
    statuses = Counter(finding.status for finding in findings)
    verdict = worst(_VERDICTS.get(finding.status, "no verdict") for finding in findings)
    failed = sorted(
        (finding for finding in findings if finding.status != "confirmed"),
        key=lambda finding: finding.status != "refuted",
    )
    return CheckResult(
        name=f"contracts of {package}, on all paths",
        kind="contracts",
        cases=len(findings),
        verdict=verdict,
        seconds=seconds,
        details={
            "confirmed": statuses["confirmed"],
            "proved_before": proved_before,
            "total": len(findings),
            "conditions": [finding.as_json() for finding in findings],
        },
        counterexample=None if verdict == "holds" else "\n".join(map(str, failed)) or no_conditions,
        note=told_before(proved_before, len(findings)),
    )


def _modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}."):
        yield importlib.import_module(found.name)


def _functions(owner: object, prefix: str, module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """The functions written in ``module``, those of its classes included, by full name."""
    for name, member in vars(owner).items():
        if getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(member):
            yield from _functions(member, f"{prefix}.{name}", module)
        elif isinstance(member, FunctionType):
            yield f"{prefix}.{name}", member
