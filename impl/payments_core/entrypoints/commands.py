"""The commands of ``payments-core``, and all that they serve with."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import psycopg
import typer
from pydantic import ValidationError

from payments_core.entrypoints import own_database, serving, sweeper, tokens
from payments_core.entrypoints.addresses import is_loopback
from payments_core.entrypoints.called import command_line
from payments_core.entrypoints.database_hints import ways_to_look
from payments_core.entrypoints.http.contract import markdown_pages, openapi_json
from payments_core.entrypoints.lifecycle import end_as_terminals_close
from payments_core.entrypoints.logs import configure_logs
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import make_pool, postgres_store, session
from payments_core.infrastructure.postgres import citus
from payments_core.infrastructure.postgres.migrate import MigrationError, has_movable_clock, migrate, pending

DEFAULT_FOLDER = Path(".payments-core/postgres")
"""Where a database of the service's own lives when nobody says: in the folder it was started in."""
_LONGEST_VARIABLE = 120_000  # bytes; Linux takes 128 KiB for the environment of a new process


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [PAYMENTS_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.  [PAYMENTS_PORT]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    data: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder of the embedded database, kept between runs.  [default: {DEFAULT_FOLDER}]"
        ),
    ] = None,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo", help="A throw-away database whose clock the page can move on.  [PAYMENTS_DEMO]"
        ),
    ] = False,
) -> None:
    """Serve HTTP, on DATABASE_URL or, where that is not set, on an embedded PostgreSQL."""
    if host is not None:
        os.environ["PAYMENTS_HOST"] = host
    settings = _settings()
    configure_logs(settings.log_level)
    is_demo = demo or settings.demo
    is_protected = bool(accepted := _require_usable_tokens(settings))
    if is_demo:
        _require_demo_alone(settings, data)
    try:
        with serving.bound(settings.host, settings.port if port is None else port) as listeners:
            _require_loopback(listeners, settings, is_protected=is_protected, is_demo=is_demo)
            for ending in (signal.SIGTERM, signal.SIGINT):
                signal.signal(ending, _end)
            end_as_terminals_close()
            with _database(settings, data or DEFAULT_FOLDER, is_demo=is_demo) as (dsn, factory):
                # Workers are fresh processes, and read their settings from the environment.
                os.environ["DATABASE_URL"] = dsn
                _hand_on(accepted, workers)
                serving.serve(listeners, workers, settings, factory)
    except serving.ServingError as error:
        _stop(str(error))


class Distribution(StrEnum):
    """Ways to divide the tables among several machines."""

    CITUS = "citus"


def migrate_command(
    distribute: Annotated[
        Distribution | None,
        typer.Option(help="Divide the tables by payment among the workers of the cluster."),
    ] = None,
) -> None:
    """Bring the schema of DATABASE_URL up to date."""
    settings = _settings()
    dsn = _database_url(settings)
    try:
        done = [f"applied {each}" for each in migrate(dsn)]
        if distribute is Distribution.CITUS:
            done += [f"distributed {each}" for each in citus.distribute(dsn, session(settings))]
    except (MigrationError, psycopg.Error) as error:
        _stop(str(error))
    typer.echo("\n".join(done) or "nothing to apply")


def sweep(
    batch: Annotated[int, typer.Option(min=1, help="Payments locked at a time.")] = 100,
) -> None:
    """Fail every authorized payment of DATABASE_URL whose capture window has ended."""
    settings = _settings()
    configure_logs(settings.log_level)
    _require_schema(settings, _database_url(settings))
    try:
        swept = asyncio.run(_sweep(settings, batch))
    except psycopg.Error as error:
        _stop(str(error))
    typer.echo(f"expired {swept} payment{'s' if swept != 1 else ''}")


def token(
    scope: Annotated[
        list[tokens.TokenScope] | None,
        typer.Option(help="What it is for, once for each; without: everything."),
    ] = None,
) -> None:
    """Make a bearer token. The client keeps it; the service is told the entry, and nobody keeps it here."""
    made, digest = tokens.make()
    typer.echo(f"token  {made}")
    typer.echo(f"entry  {tokens.entry(digest, scope or ())}")


def openapi_command() -> None:
    """Print the contract of the HTTP interface, an OpenAPI 3.1 document."""
    typer.echo(openapi_json(), nl=False)


def problems_command(
    folder: Annotated[Path, typer.Argument(help="Folder to write into; it is made if need be.")],
) -> None:
    """Write a page of each problem type, as Markdown."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in markdown_pages().items():
            (folder / name).write_text(text)
    except OSError as error:
        _stop(f"cannot write to {folder}: {error.strerror}")


async def _sweep(settings: Settings, batch: int) -> int:
    # Nobody waits for it, and it looks at all payments: the more there are, the longer that takes.
    patient = settings.model_copy(update={"statement_timeout_ms": 0, "transaction_timeout_ms": 0})
    async with make_pool(patient) as pool:
        return await sweeper.sweep(postgres_store(pool, settings), batch)


@contextmanager
def _database(settings: Settings, folder: Path, *, is_demo: bool) -> Iterator[tuple[str, str]]:
    """The database to serve and the application over it: those of the settings, or ones of our own."""
    if settings.database_url is not None:
        _require_schema(settings, settings.database_url)
        typer.echo(ways_to_look(settings.database_url))
        yield settings.database_url, serving.FACTORY
        return
    try:
        with own_database.find("demonstration" if is_demo else "kept")(folder) as own:
            typer.echo("\n".join(own.told))
            typer.echo(ways_to_look(own.dsn, own.password_file, own.psql))
            yield own.dsn, own.factory
    except (own_database.OwnDatabaseError, MigrationError, psycopg.Error) as error:
        _stop(str(error))


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End in order: also where uvicorn, once it has shut down, raises the signal that ended it again."""
    raise SystemExit(0)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        _stop("; ".join(f"{_variable(each['loc'])}{each['msg']}" for each in error.errors()))


def _variable(location: tuple[int | str, ...]) -> str:
    """The environment variable of a setting, which a validation error names by its alias if it has one."""
    if not location:  # about several of them, which it names itself
        return ""
    field = str(location[0])
    return f"{field if field.isupper() else f'PAYMENTS_{field.upper()}'}: "


def _hand_on(accepted: tokens.Tokens, workers: int) -> None:
    """Give every worker the same tokens, whenever it starts: by then their file may have changed."""
    listed = accepted.listed
    if workers > 1 and len(listed) > _LONGEST_VARIABLE:
        _stop(f"{len(accepted.scopes)} tokens are too many to hand to workers: serve with --workers 1")
    os.environ["PAYMENTS_TOKENS"] = listed
    os.environ.pop("PAYMENTS_TOKENS_FILE", None)


def _require_usable_tokens(settings: Settings) -> tokens.Tokens:
    """Stop unless tokens and tracing can be used as the settings say. Return the tokens."""
    try:
        accepted = tokens.load(settings.tokens, settings.tokens_file)
    except tokens.TokensError as error:
        _stop(str(error))
    if settings.tracing and find_spec("opentelemetry") is None:
        _stop("PAYMENTS_TRACING needs OpenTelemetry: install payments-core with its extra 'otel'")
    return accepted


def _require_loopback(
    listeners: Sequence[socket.socket], settings: Settings, *, is_protected: bool, is_demo: bool
) -> None:
    """Stop if other machines could reach a service without tokens. The bound address counts, not its name."""
    reachable = [bound for bound in (each.getsockname()[0] for each in listeners) if not is_loopback(bound)]
    if not reachable:
        return
    shown = reachable[0] if settings.host in {"", reachable[0]} else f"{reachable[0]} ({settings.host})"
    if is_demo:
        _stop(f"a demonstration serves loopback addresses only, and {shown} is none")
    if is_protected or settings.allow_unauthenticated:
        return
    _stop(
        f"without tokens it serves loopback addresses only, and {shown} is none. Either make a token "
        f"({command_line('token')}) and put its hash into PAYMENTS_TOKENS or the file PAYMENTS_TOKENS_FILE, "
        "or serve 127.0.0.1; or, if nobody can reach it who may not take money, set "
        "PAYMENTS_ALLOW_UNAUTHENTICATED=yes, which is dangerous"
    )


def _require_demo_alone(settings: Settings, data: Path | None) -> None:
    """Stop if a demonstration were to use a database that is kept: its clock can be moved."""
    if settings.database_url is not None:
        _stop("a demonstration moves the clock of its database, and so has its own: unset DATABASE_URL")
    if data is not None:
        _stop("a demonstration keeps nothing, and its clock can be moved: leave --data out")


def _require_schema(settings: Settings, dsn: str) -> None:
    """Stop unless the database can be used as it is."""
    try:
        missing = pending(dsn, settings.database_role)
        if not missing:
            asyncio.run(session(settings).require(dsn))
        is_demo = not missing and has_movable_clock(dsn, settings.database_role)
    except MigrationError as error:
        _stop(str(error))
    except psycopg.Error as error:
        _stop(f"DATABASE_URL cannot be used: {error}")
    if missing:
        _stop(f"the database lacks {', '.join(missing)}; run: {command_line('migrate')}")
    if is_demo:
        _stop("the clock of this database can be moved: it was made for a demonstration, and decides nothing")


def _database_url(settings: Settings) -> str:
    if settings.database_url is None:
        _stop("set DATABASE_URL, as in postgresql://user:password@host:5432/payments")
    return settings.database_url


def _stop(message: str) -> NoReturn:
    typer.echo(f"payments-core: {message.strip()}", err=True)
    raise typer.Exit(2)
