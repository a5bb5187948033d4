"""What the whole application does beside requests, made to go wrong: on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeAlias

from payments_verify.patience import patient
from payments_verify.systems.database import new_database
from payments_verify.systems.logs import nothing_logged
from payments_verify.systems.processes.commanded import wrong_commands
from payments_verify.systems.processes.cut_migrations import wrong_migrations
from payments_verify.systems.processes.workers import wrong_workers
from payments_verify.systems.whole.alike import wrong_alike
from payments_verify.systems.whole.asked import UnansweredError
from payments_verify.systems.whole.counted import wrong_counts_of_all
from payments_verify.systems.whole.created_once import wrong_creations
from payments_verify.systems.whole.ended_sessions import wrong_after_ends
from payments_verify.systems.whole.fresh_reads import wrong_reads
from payments_verify.systems.whole.handed_on import wrong_handing_on
from payments_verify.systems.whole.isolation import wrong_isolation
from payments_verify.systems.whole.kept_answers import wrong_with_kept_rows
from payments_verify.systems.whole.kept_in_memory import wrong_memory
from payments_verify.systems.whole.later_version import wrong_beside_later
from payments_verify.systems.whole.lent_sessions import wrong_settings
from payments_verify.systems.whole.limits_of_time import wrong_limits
from payments_verify.systems.whole.logged import wrong_logs
from payments_verify.systems.whole.many_at_once import wrong_of_many
from payments_verify.systems.whole.other_machines import wrong_to_machines
from payments_verify.systems.whole.preempted import wrong_preemptions
from payments_verify.systems.whole.slow_clients import wrong_for_slow_clients
from payments_verify.systems.whole.sweeps_in_time import wrong_pauses
from payments_verify.systems.whole.swept import wrong_sweeps
from payments_verify.systems.whole.unreadiness import wrong_readiness
from payments_verify.systems.whole.unreplicated import wrong_unreplicated
from payments_verify.systems.whole.unusable_sessions import wrong_sessions

LIMIT_S = 1_800.0
"""How long each of them may take; some seconds are usual."""

_Check: TypeAlias = Callable[[str], Coroutine[Any, Any, str | None]]


async def _wrong_beside_others(dsn: str) -> str | None:
    """One database for five checks: the list is short for the first, and the clock stands for the last."""
    try:
        wrong = await wrong_reads(dsn) or await wrong_isolation(dsn) or await wrong_limits(dsn)
        return wrong or await wrong_of_many(dsn) or await wrong_preemptions(dsn)
    except UnansweredError as error:
        return f"I9: {error}"


async def _wrong_after_others(dsn: str) -> str | None:
    try:
        return await wrong_handing_on(dsn) or await wrong_alike(dsn) or await wrong_after_ends(dsn)
    except UnansweredError as error:
        return f"I9: {error}"


_CHECKS: Mapping[str, _Check] = {
    "requests beside others": _wrong_beside_others,  # first: the others read much at once
    "creations that are hurt": wrong_creations,
    "requests that are given up": _wrong_after_others,
    "what is counted": wrong_counts_of_all,
    "sweeps that fail": wrong_sweeps,
    "when sweeps begin": wrong_pauses,
    "what is not ready": wrong_readiness,
    "sessions of no use": wrong_sessions,
    "sessions that are lent": wrong_settings,
    "what no standby has": wrong_unreplicated,
    "other machines": wrong_to_machines,
    "what is logged": wrong_logs,
    "slow clients": wrong_for_slow_clients,
    "what is kept in memory": wrong_memory,
    "several workers": wrong_workers,
    "migrations that are cut": wrong_migrations,
    "a later version's migration": wrong_beside_later,
    "what other versions have stored": wrong_with_kept_rows,
    "commands and settings": wrong_commands,
}


def whole_checks(dsn: str) -> Mapping[str, Callable[[], Coroutine[Any, Any, str | None]]]:
    """The checks by name; each says what is wrong, if anything is.

    Args:
        dsn: a database of the server on which the checks make theirs.

    Raises:
        TimeoutError: by a check that does not come to its end.
    """
    return {name: partial(_on_new_database, dsn, name, check) for name, check in _CHECKS.items()}


async def _on_new_database(dsn: str, name: str, check: _Check) -> str | None:
    with new_database(dsn) as new, nothing_logged():
        try:
            async with asyncio.timeout(patient(LIMIT_S)) as limit:
                return await check(new)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"the check of {name} has not come to its end for {LIMIT_S:g} s") from error
