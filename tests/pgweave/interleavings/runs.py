"""Explorations in one line, for tests."""

from __future__ import annotations

import asyncio
from typing import Any

from pgweave.interleavings.execution import Execution, Program
from pgweave.interleavings.explore import explore
from pgweave.interleavings.ledger import Options
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import Strategy


def explored(
    program: Program, strategy: Strategy, options: Options | None = None
) -> tuple[Report, list[Execution]]:
    """Explore; return the report and the complete executions."""
    found: list[Execution] = []

    def keep(execution: Execution, _plan: Any) -> None:
        found.append(execution)

    return asyncio.run(explore(program, strategy, on_execution=keep, options=options)), found


def outcomes(executions: list[Execution]) -> set[Any]:
    return {execution.result for execution in executions}
