"""`payments-verify report`: the page of a report, from what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from payments_verify.cli.exits import no_verdict
from payments_verify.cli.telling import print_error, say
from payments_verify.report import page
from payments_verify.report.saved import ReportError

FOLDER = Path("build/report")


def report(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where report.json is.")] = FOLDER,
) -> None:
    """Write index.html again from the report.json in a folder.

    Exit codes: 0 it was written; 2 it could not be.
    """
    try:
        written = page.write(folder)
    except ReportError as error:
        print_error(error)
        raise no_verdict() from error
    except OSError as error:
        say(f"payments-verify: {error.filename}: cannot be written: {error.strerror}", err=True)
        raise no_verdict() from error
    say(f"written: {written}")
