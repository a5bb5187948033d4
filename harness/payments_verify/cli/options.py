"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PostgresBin = Annotated[
    Path | None,
    typer.Option(
        envvar="PAYMENTS_POSTGRES_BIN", help="Folder of the PostgreSQL to run; the embedded one if not given."
    ),
]
Command = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        show_default=False,
        help="Start the service with this shell command; it gets DATABASE_URL, HOST and PORT.",
    ),
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="dask://HOST:PORT",
        show_default=False,
        help="Workers elsewhere: those of a Dask scheduler (the extra 'dask'), or of the"
        " concurrent.futures.Executor that a function gives, MODULE:FUNCTION.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print a list of results and nothing else.")]
ProveAgain = Annotated[
    bool, typer.Option("--prove-again", help="Prove also what was proved before of the same sources.")
]
