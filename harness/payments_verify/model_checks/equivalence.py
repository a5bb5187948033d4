"""The model's rules and the domain's are two texts; CrossHair shows that they decide alike on every path.

Each rule is shown twice. ``diffbehavior`` searches for arguments to which the two answer differently, in both
orders. Then the contract that they agree is confirmed like any other: that tells a path that could not be
decided from one that was, which ``diffbehavior`` does not. A rule is equivalent only if both succeed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from payments_verify.model_checks.contracts import (
    NOT_DECIDED,
    START_SECONDS,
    WALL_PER_CPU,
    Condition,
    Finding,
    decide,
    discover,
    findings,
)
from payments_verify.model_checks.proved import Proved, told_before
from payments_verify.model_checks.workers import Job
from payments_verify.result import CheckResult, Progress, findings_kept, no_progress
from pgweave.verdict import Verdict, worst
from pgweave.visible import counted

BRIDGE = "payments_verify.model_checks.equivalence_bridge"
AGREEMENT = "_agreement"
RULE_SECONDS = 120.0
"""CPU seconds for one rule, for each of the two ways."""


@dataclass(frozen=True)
class RuleFinding:
    """What was found about one rule.

    Attributes:
        rule: its name.
        agreement: what CrossHair says of the contract that the two texts agree.
        paths: how many paths ``diffbehavior`` followed, in both orders together.
        exhausted: whether it came to the end of them, in both orders.
        differences: arguments, and what each of the two answers to them.
        problem: why ``diffbehavior`` gave no answer.
    """

    rule: str
    agreement: Finding
    paths: int = 0
    exhausted: bool = False
    differences: Sequence[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None

    @property
    def verdict(self) -> Verdict:
        """``holds`` if the rule is shown equal in both ways, ``violated`` if either found a difference."""
        if self.differences or self.agreement.status == "refuted":
            return "violated"
        return "holds" if self.exhausted and self.agreement.status == "confirmed" else "no verdict"

    def as_json(self) -> dict[str, Any]:
        """The finding as one JSON object."""
        return {
            "rule": self.rule,
            "verdict": self.verdict,
            "paths": self.paths,
            "exhausted": self.exhausted,
            "confirmed": self.agreement.status == "confirmed",
            "differences": list(self.differences),
        }

    def __str__(self) -> str:
        lines = [f"{self.rule}: the model and the domain differ"] if self.verdict == "violated" else []
        for difference in self.differences:
            given = ", ".join(f"{name}={value}" for name, value in difference["arguments"].items())
            lines += [
                f"  given {given}",
                f"    the model {difference['first']}",
                f"    the domain {difference['second']}",
            ]
        if self.verdict == "no verdict":
            ended = self.problem or ("all paths followed" if self.exhausted else "not all paths followed")
            lines.append(
                f"{self.rule}: not shown equal; diffbehavior: {ended}, {counted(self.paths, 'path')}"
            )
        return "\n".join([*lines, f"  the contract: {self.agreement.status}: {self.agreement.message}"])


def check_equivalence(
    *,
    select: Callable[[str], bool] = lambda _rule: True,
    seconds: float = RULE_SECONDS,
    parallel: int | None = None,
    proved: Proved | None = None,
    progress: Progress = no_progress,
) -> CheckResult:
    """Show that the model and the domain decide alike.

    Args:
        select: which rules to compare, by name; by default all that the bridge has.
        seconds: CPU seconds for one rule, for each of the two ways.
        parallel: how many child processes at a time; by default, as many as there are processors.
        proved: what was proved before of the same sources; nothing if not given.
        progress: called after each part.

    Returns:
        ``holds`` if every rule is shown equal in both ways; the cases are the paths that were compared.
    """
    started = time.perf_counter()
    proved = proved or Proved()
    try:
        rules = {rule: condition for rule, condition in _rules().items() if select(rule)}
    except Exception as error:  # noqa: BLE001 - whatever a module raises on import, there is no verdict
        reason = f"{BRIDGE} cannot be imported: {type(error).__name__}: {error}"
        return _result([], 0, time.perf_counter() - started, reason)
    compared: dict[str, dict[str, Any]] = {}
    agreements: dict[Condition, Finding] = {}

    def result() -> CheckResult:
        found = [
            RuleFinding(rule, agreement, **compared.get(rule, {"problem": NOT_DECIDED}))
            for rule, agreement in zip(rules, findings(list(rules.values()), agreements), strict=True)
        ]
        return _result(found, proved.used, time.perf_counter() - started, "no rule was named")

    with findings_kept(result):
        _compare(
            rules,
            compared,
            seconds,
            parallel,
            proved,
            lambda done, text: progress(done, 2 * len(rules), text),
        )
        decide(
            list(rules.values()),
            agreements,
            seconds=seconds,
            parallel=parallel,
            proved=proved,
            progress=lambda done, _, text: progress(len(rules) + done, 2 * len(rules), text),
        )
        return result()


def _rules() -> dict[str, Condition]:
    """The rules that the bridge has, and for each the contract that the two texts agree."""
    agreements = [condition for condition in discover(BRIDGE) if condition.function.endswith(AGREEMENT)]
    return {_rule_of(condition.function): condition for condition in agreements}


def _rule_of(function: str) -> str:
    return function.rpartition(".")[2].removesuffix(AGREEMENT)


def _compare(
    rules: Iterable[str],
    found: dict[str, dict[str, Any]],
    seconds: float,
    parallel: int | None,
    proved: Proved,
    progress: Callable[[int, str], None],
) -> None:
    """Note what ``diffbehavior`` finds out about each rule, as it finds it."""
    jobs = {
        Job(
            ("compare", f"{BRIDGE}.{rule}_by_model", f"{BRIDGE}.{rule}_by_domain", str(seconds)),
            START_SECONDS + WALL_PER_CPU * seconds,
        ): rule
        for rule in rules
    }

    def take(job: Job, answer: dict[str, Any]) -> None:
        found[jobs[job]] = answer
        progress(len(found), f"{jobs[job]}: {answer['paths']} paths compared")

    problems = proved.run_jobs(list(jobs), take, _shows_equal, parallel)
    for job, rule in jobs.items():
        found.setdefault(rule, {"problem": problems.get(job, "CrossHair said nothing of it")})


def _shows_equal(answer: dict[str, Any]) -> bool:
    return bool(answer["exhausted"]) and not answer["differences"]


def _result(findings: Sequence[RuleFinding], proved_before: int, seconds: float, nothing: str) -> CheckResult:
    verdict = worst(finding.verdict for finding in findings)
    failed = [str(finding) for finding in findings if finding.verdict != "holds"]
    return CheckResult(
        name="the model's rules and the domain's are the same, on all paths",
        kind="equivalence",
        cases=sum(finding.paths for finding in findings),
        verdict=verdict,
        seconds=seconds,
        details={
            "confirmed": sum(finding.verdict == "holds" for finding in findings),
            "proved_before": proved_before,
            "total": len(findings),
            "rules": [finding.as_json() for finding in findings],
        },
        counterexample=None if verdict == "holds" else "\n".join(failed) or nothing,
        note=told_before(proved_before, 2 * len(findings)),
    )
