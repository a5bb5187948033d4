"""`conformance --record FOLDER`: what ran and what was found, in a folder that a bug report can carry."""

from __future__ import annotations

import platform
import re
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

from payments_verify import binding as binding_file
from payments_verify.called import command_line
from payments_verify.cli.ends import write_or_tell
from payments_verify.cli.running import say
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import Conformance
from payments_verify.report.conformance_page import make_conformance_page
from pgweave.visible import without_passwords

_ASSIGNED = re.compile(
    r"""\b\w*(?:secret|token|passw|api_?key|credential)\w*=('[^']*'|"[^"]*"|[^\s'"]+)""", re.IGNORECASE
)
_IN_A_URL = re.compile(r"""://[^\s:/@'"]*:([^\s'"@]+)@""")
_SHORTEST = 4
"""A value that is shorter is hidden nowhere: it would be found in everything."""

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

Secrets are left out: values of variables that the binding names, of header fields that carry credentials, and
passwords. Where the binding has `${{NAME}}` in place of one, set that variable before you run anything again.
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
    ) -> bool:
        """Write what was found, and leave the secrets out of everything in the folder; whether that was done.

        Args:
            found: what was found.
            seed: what was drawn with.
            show: prints it.
            seen: the examination; ``None`` if it did not come to one.
        """
        told = {**found.as_json(), "seed": seed}
        postgres = "" if seen is None else seen.postgres
        done = write_or_tell(partial(self._write, told, show, postgres)) is not None
        secrets = {} if seen is None else seen.secrets
        hidden = {value: f"${{{name}}}" for value, name in secrets.items()}
        given = f"{self.command or ''} {self.url or ''}"
        hidden |= {each.strip("'\""): "…" for each in _ASSIGNED.findall(given) + _IN_A_URL.findall(given)}
        hidden = {value: shown for value, shown in hidden.items() if len(value) >= _SHORTEST}
        done = write_or_tell(partial(_hide, self.folder, hidden)) is not None and done
        if done:
            say(f"recorded: {self.folder}", err=True)
        return done

    def _write(self, found: Mapping[str, Any], show: Callable[[Console], object], postgres: str) -> bool:
        with (self.folder / "printed.out").open("w", encoding="utf-8") as file:
            show(Console(file=file, width=110, soft_wrap=True))
        _write_json(self.folder / "conformance.json", found)
        _write_json(self.folder / "run.json", _run(found, postgres))
        (self.folder / "binding.toml").write_text(self._binding_text(), encoding="utf-8")
        service = ["--command", self.command] if self.url is None else ["--url", self.url]
        replay = command_line("replay", *service, "--binding", self.folder / "binding.toml")
        judge = command_line("history")
        readme = _README.format(
            judge=judge, history=command_line("history", self.folder / "histories"), replay=replay
        )
        (self.folder / "README.md").write_text(readme, encoding="utf-8")
        (self.folder / "index.html").write_text(make_conformance_page(found), encoding="utf-8")
        return True

    def _binding_text(self) -> str:
        if self.binding is None or self.binding == Path("default"):
            return binding_file.default_text()
        return self.binding.read_text(encoding="utf-8")


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


def _hide(folder: Path, hidden: Mapping[str, str]) -> bool:
    """Leave secrets out of every file of a folder."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        shown = without_passwords(text)
        for value, instead in sorted(hidden.items(), key=lambda pair: -len(pair[0])):
            shown = shown.replace(value, instead)
        if shown != text:
            path.write_text(shown, encoding="utf-8", errors="surrogateescape")
    return True
