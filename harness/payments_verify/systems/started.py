"""Services of others, with a binding: one that a command starts, and one that runs somewhere."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import httpx
import psycopg
from msgspec import structs

from payments_verify.binding import (
    Binding,
    BoundClient,
    Locking,
    Names,
    service_environment,
    with_variables,
)
from payments_verify.binding.coverage import traits_of
from payments_verify.binding.encoding import EncodingHttp
from payments_verify.binding.expected import expected_answer
from payments_verify.binding.http import Http
from payments_verify.binding.sections import Service
from payments_verify.binding.set_up import set_up
from payments_verify.patience import patient
from payments_verify.payments.observed.http_steps import HttpStep
from payments_verify.payments.observed.traits import Traits
from payments_verify.payments.programs.clock_probe import why_clock_stays
from payments_verify.payments.service.row_holders import RowStatements, SqlRowHolder
from payments_verify.payments.service.under_test import OpenRowHolder, ServiceUnderTest, SetUpError
from payments_verify.systems.kept_http import KeepingSender, learn_credentials, session_secrets
from payments_verify.systems.lasting_windows import require_lasting_windows
from payments_verify.systems.replicas import Replica, ServiceClock, end_of, leave_the_clock, start_again
from payments_verify.systems.sweeps import open_sweep
from pgweave.gate import Gate
from pgweave.redaction import redacted
from pgweave.scheduler import GatedDatabase, Monitor, Turns
from pgweave.service.command import CommandError, NoAnswerError, running_command
from pgweave.service.exchange import exchanges_kept, note_exchanges
from pgweave.service.http_client import http_client
from pgweave.service.patience import last_printed
from pgweave.sql.catalog_queries import read_catalog
from pgweave.sql.footprints import is_scheduling_point

_REQUEST_LIMIT_S = 60.0


@asynccontextmanager
async def started_service(
    command: str,
    binding: Binding,
    new_database: Callable[[], str],
    *,
    behind_gate: bool = False,
    processes: int = 1,
    ours: bool = True,
    output_folder: Path | None = None,
    secrets: dict[str, str] | None = None,
) -> AsyncIterator[ServiceUnderTest]:
    """A service that a command starts over a new and empty database.

    Args:
        command: the shell command, see `running_command`.
        binding: its interface.
        new_database: makes an empty database, and gives its connection string.
        behind_gate: whether a gate stands before the database: for the service, its sweep and row holders.
        processes: how many of its processes serve, each at an address of its own.
        ours: whether the database's server is one that the harness has started on this machine.
        output_folder: where what the service prints is kept, a file for each time that it is started.
        secrets: where the secrets of this session are added.

    Raises:
        CommandError: the command did not come to serve.
    """
    dsn, learned = new_database(), {} if secrets is None else secrets
    traits = traits_when_started(binding)
    async with AsyncExitStack() as stack:
        gate = await stack.enter_async_context(Gate.open(dsn, is_scheduling_point)) if behind_gate else None
        monitor = await stack.enter_async_context(Monitor.connect(dsn)) if behind_gate else None
        output = stack.enter_context(_output(output_folder))
        of_service, of_harness = (dsn, dsn) if gate is None else (gate.tcp_dsn, gate.socket_dsn)
        environment = service_environment(binding.service.environment, of_service)
        service_clock = ServiceClock(binding.clock, dsn)
        service_clock.install()
        run = partial(running_command, command, environment, binding.service.ready, output)
        replicas = [await stack.enter_async_context(Replica.open(run)) for _ in range(processes)]
        await service_clock.connect(stack)
        # In a schedule the instants of a real clock cannot be compared with the model's.
        dated = traits.reads_instants and (traits.moves_clock or gate is None)
        clients, sent_first = await _clients(stack, replicas, binding, learned, dated=dated)
        client = clients[0]
        stack.callback(lambda: learned.update(session_secrets(binding, client.names)))
        database = None
        if gate is not None and monitor is not None:
            catalog = read_catalog(dsn, binding.clock.function)
            database = GatedDatabase(gate, monitor, catalog, Turns(ours=ours))
        yield ServiceUnderTest(
            command,
            tuple(_keeping(each, learned) for each in clients),
            service_clock.set,
            await open_sweep(binding.sweep, client.http, of_harness, stack, environment, client.names.saved),
            _row_holders(of_harness, binding, client.requests.id_of),
            database,
            traits=traits,
            id_of=client.requests.id_of,
            is_new=True,
            end=partial(end_of, replicas),
            restart=partial(start_again, replicas, service_clock),
            printed=partial(last_printed, output),
            expected_http=partial(expected_answer, binding),
            secrets=partial(session_secrets, binding, client.names),
            set_up=sent_first,
            signed_by=binding.service.sign or "",
        )


def _output(folder: Path | None) -> IO[bytes]:
    """A file for what the service prints, which is kept if there is a folder."""
    if folder is None:
        return tempfile.TemporaryFile()
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"service-{len(list(folder.iterdir())) + 1}.out").open("w+b")


@asynccontextmanager
async def service_at(
    url: str, binding: Binding, secrets: dict[str, str] | None = None
) -> AsyncIterator[ServiceUnderTest]:
    """A service that runs somewhere; nothing of it but its HTTP interface is touched.

    Raises:
        CommandError: nothing answers at the URL.
    """
    learned = {} if secrets is None else secrets
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(_http(url, binding, learned))
        try:
            await http.get(binding.service.ready)
        except httpx.TransportError as error:
            raise CommandError(f"nothing answers at {url}: {type(error).__name__} {error}") from None
        traits = require_lasting_windows(traits_of(binding, moves_clock=False))
        client, sent_first = await _prepared(http, binding, learned, dated=traits.reads_instants)
        stack.callback(lambda: learned.update(session_secrets(binding, client.names)))
        saved = client.names.saved
        sweep_batch = await open_sweep(binding.sweep, client.http, None, stack, saved=saved)
        yield ServiceUnderTest(
            url,
            (_keeping(client, learned),),
            leave_the_clock,
            sweep_batch,
            traits=traits,
            expected_http=partial(expected_answer, binding),
            secrets=partial(session_secrets, binding, client.names),
            set_up=sent_first,
            signed_by=binding.service.sign or "",
        )


def traits_when_started(binding: Binding) -> Traits:
    """What can be asked of a service that a command starts, and seen."""
    return traits_of(binding, moves_clock=binding.clock.by != "none" and binding.has_windows)


def settle_clock(
    command: str, binding: Binding, new_database: Callable[[], str]
) -> tuple[Binding, str | None]:
    """The binding by which a service can be examined, and why its clock is not moved, if it is not.

    Whatever else keeps the service from being started is left for those who examine it. The arguments are
    those of `started_service`.

    Raises:
        NoAnswerError: the command answers nothing; whoever starts it again would wait as long.
        CommandError: the clock is not moved, and windows end while the service is examined.
    """
    settled = _settled_clock(command, binding, new_database)
    require_lasting_windows(traits_when_started(settled[0]))
    return settled


def _settled_clock(
    command: str, binding: Binding, new_database: Callable[[], str]
) -> tuple[Binding, str | None]:
    traits = traits_when_started(binding)
    in_real_time = structs.replace(binding, clock=binding.clock.unmoved)
    if not traits.moves_clock:
        return in_real_time, None
    if traits.expires_within_s is not None:
        why = f"the service expires payments by itself, within {traits.expires_within_s:g} s"
        return in_real_time, why

    async def run() -> str | None:
        async with started_service(command, binding, new_database) as service:
            return await why_clock_stays(service)

    try:
        found = asyncio.run(run())
    except NoAnswerError:
        raise
    except (CommandError, psycopg.Error):
        return binding, None
    return (binding, None) if found is None else (in_real_time, found)


async def _clients(
    stack: AsyncExitStack,
    replicas: Sequence[Replica],
    binding: Binding,
    learned: dict[str, str],
    *,
    dated: bool,
) -> tuple[Sequence[BoundClient], tuple[HttpStep, ...]]:
    """A client of each process; what one of them sends before everything, and what it brings, is for all.

    Raises:
        CommandError: one of these requests was not answered as the binding says.
    """
    https = [await stack.enter_async_context(_http(each.running.url, binding, learned)) for each in replicas]
    for replica, http in zip(replicas, https, strict=True):
        replica.http = http
        http.cookies = https[0].cookies.jar  # one session
    client, sent_first = await _prepared(https[0], binding, learned, dated=dated)
    further = [replace(client, http=_carrier(http, binding.service, client.names)) for http in https[1:]]
    return (client, *further), sent_first


@asynccontextmanager
async def _http(url: str, binding: Binding, learned: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    # A server may close a connection after an error, and the next request on it would have no answer.
    service = binding.service
    headers = with_variables(
        {name: text for name, text in service.headers.items() if name not in service.headers_with_names}
    )
    async with http_client(url, limit_s=patient(_REQUEST_LIMIT_S), headers=headers) as http:
        note_exchanges(http)
        learn_credentials(http, learned)
        yield http


def _carrier(http: httpx.AsyncClient, service: Service, names: Names) -> Http:
    is_plain = service.body == "json" and service.sign is None and not service.headers_with_names
    return http if is_plain else EncodingHttp(http, service, names.saved)


async def _prepared(
    http: httpx.AsyncClient, binding: Binding, learned: dict[str, str], *, dated: bool
) -> tuple[BoundClient, tuple[HttpStep, ...]]:
    """A client whose service has had the requests that come before everything, and these.

    Raises:
        CommandError: one was not answered as the binding says.
    """
    names = Names()
    client = BoundClient(_carrier(http, binding.service, names), binding, names, dated)
    with exchanges_kept() as kept:
        try:
            await set_up(client.http, binding, names)
        except SetUpError as error:
            learned.update(session_secrets(binding, names))
            raise CommandError(redacted(str(error), learned)) from None
    return client, tuple(
        HttpStep("setup", f"{each.method} {each.target}", exchanges=(each,)) for each in kept
    )


def _keeping(client: BoundClient, learned: Mapping[str, str]) -> KeepingSender:
    """The same client, which keeps its HTTP and shows no secret of what is refused."""
    return KeepingSender(client, lambda: {**learned, **session_secrets(client.binding, client.names)})


def _row_holders(dsn: str, binding: Binding, id_of: Callable[[str], str]) -> OpenRowHolder | None:
    if binding.lock is None:
        return None
    statements = _row_statements(binding.lock, binding.payment.states, id_of)
    return partial(SqlRowHolder.connect, dsn, statements)


def _row_statements(lock: Locking, states: dict[str, str], id_of: Callable[[str], str]) -> RowStatements:
    void = None if lock.void is None else _with_id(lock.void)
    return RowStatements(_with_id(lock.hold), void, states, id_of)


def _with_id(statement: str) -> str:
    return statement.replace("%", "%%").replace("{payment}", "%s")
