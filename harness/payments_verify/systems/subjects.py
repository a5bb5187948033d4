"""Services to be examined for conformance, with what can be run on each, and what not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from payments_verify.binding import Binding
from payments_verify.binding.coverage import traits_of, unchecked, why_not
from payments_verify.called import command_line
from payments_verify.payments.conformance import LEVELS, Subject
from payments_verify.payments.faults_check import FaultPlan
from payments_verify.payments.scenarios import FAULT_SCENARIOS, ONE_CAPTURE, SCENARIOS
from payments_verify.systems.background import statements_without_request
from payments_verify.systems.bound import StartedService, service_at
from payments_verify.systems.empty_databases import empty_databases
from pgweave.gate import Fault
from pgweave.visible import without_passwords

_BLACK_BOX = 3
_LARGEST = "four-captures"


def subject_at(url: str, binding: Binding) -> Subject:
    """A service that runs somewhere: the first three levels.

    Args:
        url: where.
        binding: its interface.
    """
    traits = traits_of(binding, moves_clock=False)
    return Subject(
        name=url,
        system=partial(service_at, url, binding),
        gated=None,
        scenarios=(),
        fault_scenarios=(),
        unchecked=[
            *unchecked(binding, traits, has_database=False),
            "levels 4 and 5: they need the service's database: start it by --command",
        ],
        moves_clock=False,
    )


@contextmanager
def started_subject(
    command: str,
    binding: Binding,
    bin_dir: Path | None = None,
    *,
    server: str | None = None,
    quick: bool = False,
    binding_file: Path | None = None,
    highest: int = max(LEVELS),
) -> Iterator[Subject]:
    """A service that a command starts, over databases that the harness makes: every level.

    Args:
        command: the shell command, see `running_command`.
        binding: its interface.
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
        server: a server of somebody else's instead, see `databases_on`.
        quick: whether to leave out what takes longest.
        highest: the highest level that is going to be tried: what only those above need is not looked for.
        binding_file: where the binding was read, for the command line that replays a schedule.

    Raises:
        EmbeddedPostgresError: if no server can be started; the message says why and what to do.
    """
    with empty_databases(bin_dir, server) as new_database:
        started = StartedService(command, binding, new_database, ours=server is None)
        service, clock_stays = started.with_its_clock()
        binding, traits = service.binding, service.traits
        reasons = [(each, why_not(each, binding, traits)) for each in SCENARIOS.values()]
        left_out = [] if clock_stays is None else [f"the clock is not moved: {clock_stays}"]
        left_out += unchecked(binding, traits, has_database=True)
        left_out += [
            f"scenario {each.name} (levels 4 and 5): the binding lacks {why}" for each, why in reasons if why
        ]
        runnable = [each for each, why in reasons if why is None]
        plans = [FaultPlan(each) for each in FAULT_SCENARIOS if why_not(each, binding, traits) is None]
        if quick:
            runnable = [each for each in runnable if each.name != _LARGEST]
            plans = [FaultPlan(ONE_CAPTURE), FaultPlan(SCENARIOS["same-key-twice"], (Fault.CUT_AFTER,))]
            left_out.append(f"scenario {_LARGEST} (level 4), and faults in most races (level 5): --quick")
        followed = binding.ids.kind == "uuid"
        if highest <= _BLACK_BOX:
            followed = False
        elif not followed:
            left_out.append("levels 4 and 5: only ids that are UUIDs can be followed in statements")
        elif traits.expires_within_s is not None:
            followed = False
            left_out.append("levels 4 and 5: the service expires payments by itself: sweep.within")
        elif own := statements_without_request(service.gated):
            followed = False
            left_out.append(
                f"levels 4 and 5: the service sends statements that no request asks for: {own[-1]}"
            )
        again: list[object] = ["replay", "--command", command]
        again += ["--binding", "default" if binding_file is None else str(binding_file)]
        again += [] if server is None else ["--server", server]
        yield Subject(
            name=without_passwords(command),
            system=service.system,
            gated=service.gated if followed else None,
            scenarios=runnable,
            fault_scenarios=plans,
            unchecked=left_out,
            replay=without_passwords(command_line(*again)),
            moves_clock=traits.moves_clock,
        )
