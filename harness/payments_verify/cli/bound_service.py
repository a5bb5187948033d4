"""The service of somebody else's that options name, with its binding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from payments_verify import binding as binding_file
from payments_verify.binding import Binding
from payments_verify.cli.exits import no_verdict
from payments_verify.cli.telling import print_error
from payments_verify.payments.conformance.examination import Examination
from payments_verify.systems import examination_at, examination_of
from payments_verify.systems.dsn import DsnError, require_dsn

BindingFile = Annotated[
    Path | None,
    typer.Option(
        "--binding",
        metavar="FILE",
        show_default=False,
        help="How the service's HTTP says what the model says; 'default' for this repository's interface.",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        show_default=False,
        help="With --command: make the databases on this server, and drop them at the end. DSN is a"
        " superuser's; of a Citus cluster, to a database of the coordinator that knows its workers.",
    ),
]


@contextmanager
def examined(
    url: str | None,
    command: str | None,
    binding: Path | None,
    postgres_bin: Path | None,
    *,
    server: str | None = None,
    quick: bool,
    highest: int,
    output_folder: Path | None = None,
) -> Iterator[Examination]:
    """The service that the options name, ready to be opened.

    Raises:
        typer.BadParameter: they name none, or two.
        typer.Exit: the binding file is none.
    """
    if (url is None) == (command is None):
        raise typer.BadParameter("name the service by one of the two", param_hint="--url / --command")
    if server is not None:
        require_server(server, command)
    bound = read_binding(binding)
    if url is not None:
        yield examination_at(url, bound, binding)
        return
    assert command is not None
    with examination_of(
        command,
        bound,
        postgres_bin,
        server=server,
        quick=quick,
        binding_file=binding,
        highest=highest,
        output_folder=output_folder,
    ) as examination:
        yield examination


def require_server(server: str, command: str | None) -> None:
    """See that ``--server`` can be meant.

    Raises:
        typer.BadParameter: the service is not started here, or it is no connection string.
    """
    if command is None:
        raise typer.BadParameter("it is for a service that --command starts", param_hint="--server")
    try:
        require_dsn(server)
    except DsnError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


def scaffold_of(file: Path) -> str:
    """A first binding for the service of an OpenAPI document.

    Raises:
        typer.Exit: the file is none: the message is printed, and the exit code 2.
    """
    try:
        return binding_file.scaffold(binding_file.read_document(file))
    except binding_file.BindingFileError as error:
        print_error(error)
        raise no_verdict() from error


def read_binding(file: Path | None) -> Binding:
    """The binding of a file; the default one for none, and for the name ``default``.

    Raises:
        typer.Exit: it is no binding: the message is printed, and the exit code 2.
    """
    if file is None or file == Path("default"):
        return binding_file.default_binding()
    try:
        return binding_file.load(file)
    except binding_file.BindingFileError as error:
        print_error(error)
        raise no_verdict() from error
