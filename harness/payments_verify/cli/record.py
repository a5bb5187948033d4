"""`conformance --record FOLDER`: what ran and what was found, in a folder that a bug report can carry."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console

from payments_verify.called import command_line
from payments_verify.cli.ends import write_or_tell
from payments_verify.cli.known_secrets import binding_text, leave_out
from payments_verify.cli.telling import say
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import Conformance
from payments_verify.report.conformance_page import make_conformance_page
from pgweave.redaction import redacted_value

_README = """\
# What was examined, and what was found

`index.html` shows it. Nothing here is needed to read it.

| file | what it has |
|---|---|
| `printed.out` | what was printed |
| `conformance.json` | the same for programs |
| `run.json` | the command line, the seed, the versions |
| `binding.toml` | how the service's HTTP was spoken |
| `histories/` | what the clients of level 3 saw: `{history}` judges it again |
| `programs/`, `schedules/` | what was wrong at levels 1, 2, 4 and 5: `{replay} FILE` runs one again; \
`{judge} FILE.history.jsonl` judges what its clients saw |
| `output/` | what the service printed, a file each time that it was started |

Secrets are left out: values of variables that the binding names, of header fields that carry credentials,
passwords, and what a login gave: tokens and cookies. Where the binding has `${{NAME}}` in place of one, set
that variable before you run anything again.
"""


@dataclass(frozen=True)
class Record:
    """A folder for it.

    Attributes:
        folder: the folder.
        binding: the binding's file; ``None`` for the default one.
        url: where the service runs, or
        command: what starts it.
    """

    folder: Path
    binding: Path | None
    url: str | None
    command: str | None

    @property
    def output(self) -> Path:
        """Where the service's own output goes."""
        return self.folder / "output"

    def begin(self) -> None:
        """Make the folder.

        Raises:
            typer.BadParameter: there is something in it, or it cannot be made.
        """
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            there = [each.name for each in self.folder.iterdir() if each != self.output]
        except OSError as error:
            raise typer.BadParameter(f"{self.folder}: {error.strerror}", param_hint="--record") from None
        if there or any(self.output.iterdir()):
            told = f"{self.folder} has something in it; name another folder"
            raise typer.BadParameter(told, param_hint="--record")

    def is_finished(
        self,
        found: Conformance,
        seed: int,
        show: Callable[[Console], object],
        seen: Examination | None,
        secrets: Mapping[str, str],
    ) -> bool:
        """Write what was found, and leave the secrets out of everything in the folder; whether that was done.

        Args:
            found: what was found.
            seed: what was drawn with.
            show: prints it.
            seen: the examination; ``None`` if it did not come to one.
            secrets: what is left out.
        """
        told = redacted_value({**found.as_json(), "seed": seed}, secrets)
        postgres = "" if seen is None else seen.postgres
        done = write_or_tell(partial(self._write, told, show, postgres)) is not None
        done = write_or_tell(partial(leave_out, self.folder, secrets, self.output)) is not None and done
        done = write_or_tell(partial(self._draw, told)) is not None and done
        if done:
            say(f"recorded: {self.folder}", err=True)
        return done

    def _write(self, found: Mapping[str, Any], show: Callable[[Console], object], postgres: str) -> bool:
        with (self.folder / "printed.out").open("w", encoding="utf-8") as file:
            show(Console(file=file, width=110, soft_wrap=True))
        _write_json(self.folder / "conformance.json", found)
        _write_json(self.folder / "run.json", _run(found, postgres))
        (self.folder / "binding.toml").write_text(binding_text(self.binding), encoding="utf-8")
        service = ["--command", self.command] if self.url is None else ["--url", self.url]
        replay = command_line("replay", *service, "--binding", self.folder / "binding.toml")
        judge = command_line("history")
        readme = _README.format(
            judge=judge, history=command_line("history", self.folder / "histories"), replay=replay
        )
        (self.folder / "README.md").write_text(readme, encoding="utf-8")
        return True

    def _draw(self, found: Mapping[str, Any]) -> bool:
        # What it tells has no secret by now, and a word of the page itself may be one.
        (self.folder / "index.html").write_text(make_conformance_page(found), encoding="utf-8")
        return True


def _run(found: Mapping[str, Any], postgres: str) -> dict[str, Any]:
    return {
        "format": "payments-verify-record",
        "version": 1,
        "command": sys.argv,
        "seed": found["seed"],
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "payments-verify": _version("payments-verify"),
            "postgresql": postgres or None,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except ModuleNotFoundError:
        return version("payments-core")


def _write_json(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")
