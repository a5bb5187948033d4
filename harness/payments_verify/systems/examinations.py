"""What conformance runs on a service, and what not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from payments_verify.binding import Binding
from payments_verify.binding.coverage import traits_of, unchecked, why_not
from payments_verify.called import command_line
from payments_verify.payments.conformance.examination import Examination, OnTwo
from payments_verify.payments.conformance.levels import LEVELS
from payments_verify.payments.faults.hang_ups import never_hung_up
from payments_verify.payments.faults.plans import FEW_FAULT_SCENARIOS, FaultPlan, plan_of
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.scenarios.catalogue import SCENARIOS, Scenario
from payments_verify.payments.scenarios.named import ONE_KEY_TWO_PAYMENTS, OTHERS_ON_TWO_INSTANCES, SINGLE
from payments_verify.payments.service.under_test import OpenService, ServiceUnderTest
from payments_verify.systems.background import Habits, habits_of
from payments_verify.systems.empty_databases import empty_databases
from payments_verify.systems.kept_http import secrets_of
from payments_verify.systems.restarts import AGAIN, TWO, Restarts, restarts_of
from payments_verify.systems.started import service_at, settle_clock, started_service, traits_when_started
from pgweave.gate import Fault
from pgweave.visible import without_passwords

_BLACK_BOX, _IDEMPOTENT = 3, 2
_LARGEST = "four-captures"
_NOT_ASKED = Restarts("level 2 was not asked for", "level 2 was not asked for")


def examination_at(url: str, binding: Binding, binding_file: Path | None = None) -> Examination:
    """A service that runs somewhere: the first three levels.

    Args:
        url: where.
        binding: its interface.
        binding_file: where the binding was read, for the command line that replays a program.
    """
    traits = traits_of(binding, moves_clock=False)
    secrets = dict(secrets_of(binding))
    return Examination(
        name=url,
        open_service=partial(service_at, url, binding, secrets),
        unchecked=[
            *unchecked(binding, traits, has_database=False),
            f"{TWO}: start it by --command",
            f"{AGAIN}: start it by --command",
            "levels 4 and 5: they need the service's database: start it by --command",
        ],
        replay=_replay(["--url", url], None, binding_file),
        moves_clock=False,
        secrets=secrets,
    )


@contextmanager
def examination_of(
    command: str,
    binding: Binding,
    bin_dir: Path | None = None,
    *,
    server: str | None = None,
    quick: bool = False,
    binding_file: Path | None = None,
    highest: int = max(LEVELS),
    output_folder: Path | None = None,
) -> Iterator[Examination]:
    """A service that a command starts, over databases that the harness makes: every level.

    Args:
        command: the shell command, see `running_command`.
        binding: its interface.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        server: a server of somebody else's instead, see `databases_on`.
        quick: whether to leave out what takes longest.
        highest: the highest level that is going to be tried: what only those above need is not looked for.
        binding_file: where the binding was read, for the command line that replays a schedule.
        output_folder: where what the service prints is kept.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with empty_databases(bin_dir, server) as new_database:
        binding, clock_stays = settle_clock(command, binding, new_database)
        traits, secrets = traits_when_started(binding), dict(secrets_of(binding))
        asked = highest >= _IDEMPOTENT
        restarts = restarts_of(command, binding, new_database) if asked else _NOT_ASKED
        open_service = partial(
            started_service if restarts.why_not_again is None else _started_once,
            command,
            binding,
            new_database,
            ours=server is None,
            output_folder=output_folder,
            secrets=secrets,
        )
        open_behind_gate = partial(open_service, behind_gate=True)
        left_out = [] if clock_stays is None else [f"the clock is not moved: {clock_stays}"]
        left_out += unchecked(binding, traits, has_database=True)
        left_out += restarts.unchecked if asked else []
        scenarios, plans, lacking = _races(binding, traits, quick=quick)
        left_out += lacking
        is_followed, told = _followed(open_behind_gate, traits) if highest > _BLACK_BOX else (False, [])
        left_out += told
        examination = Examination(
            name=without_passwords(command),
            open_service=open_service,
            open_behind_gate=open_behind_gate if is_followed else None,
            on_two=OnTwo(
                partial(open_service, processes=2),
                partial(open_behind_gate, processes=2) if is_followed else None,
                [each for each in OTHERS_ON_TWO_INSTANCES if why_not(each, binding, traits) is None],
            ),
            scenarios=scenarios,
            fault_plans=plans,
            kills=restarts.why_not_again is None,
            unchecked=left_out,
            replay=_replay(["--command", command], server, binding_file),
            moves_clock=traits.moves_clock,
            secrets=secrets,
            postgres="" if output_folder is None else _version_of(new_database()),
            lacks=partial(why_not, binding=binding, traits=traits),
        )
        yield examination if restarts.why_not_two is None else replace(examination, on_two=None)


@asynccontextmanager
async def _started_once(*service: Any, **how: Any) -> AsyncIterator[ServiceUnderTest]:  # noqa: ANN401
    """The same as `started_service` of a service that is never started again on its data."""
    async with started_service(*service, **how) as started:
        yield replace(started, restart=None)


def _races(
    binding: Binding, traits: Traits, *, quick: bool
) -> tuple[Sequence[Scenario], Sequence[FaultPlan], Sequence[str]]:
    """The scenarios that can be run, in which of them something goes wrong, and what is left out and why."""
    reasons = [(each, why_not(each, binding, traits)) for each in SCENARIOS.values()]
    scenarios = [each for each, why in reasons if why is None]
    scenarios += [ONE_KEY_TWO_PAYMENTS] if traits.keys_of_account else []
    left_out = [
        f"scenario {each.name} (levels 4 and 5): the binding lacks {why}" for each, why in reasons if why
    ]
    left_out += [
        f"scenario {each.name} (level 5): the binding lacks {why}"
        for each in SINGLE
        if (why := why_not(each, binding, traits))
    ]
    if not quick:
        hurt = [each for each in FEW_FAULT_SCENARIOS if why_not(each, binding, traits) is None]
        return scenarios, [plan_of(each) for each in hurt], left_out
    scenarios = [each for each in scenarios if each.name != _LARGEST]
    plans = [FaultPlan(each) for each in SINGLE if why_not(each, binding, traits) is None]
    plans.append(FaultPlan(SCENARIOS["same-key-twice"], (Fault.CUT_AFTER,)))
    left_out.append(f"scenario {_LARGEST} (level 4), and faults in most races (level 5): --quick")
    return scenarios, plans, left_out


def _followed(open_behind_gate: OpenService, traits: Traits) -> tuple[bool, Sequence[str]]:
    """Whether the statements of a service can be told by request, and what is said of that."""
    why_not = _why_not_followed(traits)
    habits = habits_of(open_behind_gate) if why_not is None else Habits()
    why_not = why_not or habits.why_not_followed
    told = [*never_hung_up(traits), *([] if why_not is None else [f"levels 4 and 5: {why_not}"])]
    told += [
        f"function {each} (levels 4 and 5): a call is one step, nothing comes between its statements"
        for each in habits.functions
    ]
    return why_not is None, told


def _why_not_followed(traits: Traits) -> str | None:
    """Why the statements of a service cannot be told by request; ``None`` if they can."""
    if traits.expires_within_s is not None:
        return "the service expires payments by itself: sweep.within"
    return None


def _version_of(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        return str(connection.info.parameter_status("server_version"))


def _replay(service: Sequence[str], server: str | None, binding_file: Path | None) -> str:
    """The command line that runs a schedule or a program again, but for the file."""
    words: list[object] = ["replay", *service]
    words += ["--binding", "default" if binding_file is None else str(binding_file)]
    words += [] if server is None else ["--server", server]
    return without_passwords(command_line(*words))
