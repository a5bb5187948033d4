"""Everything that can be seen without sending a request, as one check."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.static_checks.contract import CONTRACT, check_contract
from lab.static_checks.environment import Refusal, check_defaults, check_environment
from lab.static_checks.findings import Findings
from lab.static_checks.migrations import check_migrations
from lab.static_checks.oldest import check_texts
from lab.static_checks.schema import check_schema, check_session
from lab.static_checks.session_levels import PAGE
from lab.static_checks.sources import check_sources, check_waits
from lab.static_checks.statements import check_statements
from payments_verify.result import CheckResult, Progress, findings_kept, no_progress
from pgweave.verdict import Verdict


@dataclass(frozen=True)
class Shipped:
    """What a service is made of.

    Attributes:
        dsn: its database, migrated, as the owner reaches it; the clock is its own.
        session: settings of a session as the service opens it.
        levels: whether these are what the page says, wherever something else is set.
        oldest: whether the oldest server knows what they are made of.
        statements: what it sends, by name.
        sources: the Python files of the layers that decide and store.
        all_sources: the Python files of the whole service.
        costs: sees what its statements read of many payments.
        migrations: the folder of the SQL that makes its schema.
        contract: the OpenAPI document that it serves.
        refusal: why it refuses an environment, if it does.
        defaults: of its settings, by their variables, as the page writes them.
    """

    dsn: str
    session: dict[str, str]
    levels: Findings
    oldest: Findings
    statements: Mapping[str, str]
    costs: Callable[[], Findings]
    sources: list[Path]
    all_sources: list[Path]
    migrations: Path
    contract: bytes
    refusal: Refusal
    defaults: Mapping[str, str]


def static_check(name: str, shipped: Shipped, *, progress: Progress = no_progress) -> CheckResult:
    """Look at a service's schema, sessions, statements, sources and settings.

    Args:
        name: the service's name in the result.
        shipped: what it is made of.
        progress: is told of each part.
    """
    started = time.monotonic()
    parts: dict[str, Callable[[], Findings]] = {
        "schema": lambda: check_schema(shipped.dsn),
        "session": lambda: check_session(shipped.session),
        "levels": lambda: shipped.levels,
        "oldest": lambda: shipped.oldest,
        "statements": lambda: check_statements(shipped.statements),
        "words": lambda: check_texts({**shipped.statements, **_texts(shipped.migrations)}),
        "sources": lambda: check_sources(shipped.sources),
        "waits": lambda: check_waits(shipped.all_sources),
        "environment": lambda: check_environment(shipped.refusal),
        "defaults": lambda: check_defaults(shipped.defaults, PAGE.read_text(encoding="utf-8")),
        "migrations": lambda: check_migrations(shipped.dsn, shipped.migrations),
        "contract": lambda: check_contract(shipped.contract, CONTRACT.read_bytes()),
        "costs": shipped.costs,
    }
    found: dict[str, Findings] = {}

    def result() -> CheckResult:
        problems = [f"{part}: {problem}" for part, each in found.items() for problem in each.problems]
        left = [f"{part}: not looked at" for part in parts if part not in found]
        verdict: Verdict = "no verdict" if left else "holds"
        return CheckResult(
            name=f"schema, sessions, statements and sources: {name}",
            kind="static",
            cases=sum(each.looked_at for each in found.values()),
            verdict="violated" if problems else verdict,
            seconds=time.monotonic() - started,
            details={
                "looked_at": {part: each.looked_at for part, each in found.items()},
                "problems": problems,
            },
            counterexample="\n".join([*problems, *left]) or None,
        )

    with findings_kept(result):
        for number, (part, look) in enumerate(parts.items()):
            progress(number, len(parts), part)
            found[part] = look()
        return result()


def _texts(migrations: Path) -> Mapping[str, str]:
    return {each.name: each.read_text(encoding="utf-8") for each in migrations.glob("*.sql")}
