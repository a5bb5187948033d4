"""The exploration of a program: one schedule after the other, as a strategy says.

    report = await explore(program, SourceDPOR(), on_execution=check)

`parallel` does the same with many workers.
"""

from __future__ import annotations

from pgweave.interleavings.execution import Program
from pgweave.interleavings.ledger import Ledger, OnExecution, Options, attempt
from pgweave.interleavings.report import Report
from pgweave.interleavings.strategy import Strategy


async def explore(
    program: Program,
    strategy: Strategy,
    *,
    on_execution: OnExecution | None = None,
    options: Options | None = None,
) -> Report:
    """Run the schedules that a strategy calls for.

    A plan that cannot be run is tried again, and reported if that does not help; it is no success.

    Args:
        program: what is run.
        strategy: which schedules; a new one for each exploration.
        on_execution: what takes in the complete executions, in the order in which they are run.
        options: limits and checks.
    """
    ledger = Ledger(strategy, on_execution, options or Options())
    while (job := ledger.next()) is not None:
        settled = False
        while not settled:
            outcome = await attempt(program, job.plan)
            again = await attempt(program, job.again) if job.again is not None else None
            settled = ledger.take(job, outcome, again)
    return ledger.report()
