"""The secrets that a command was given and learned, and that nothing it writes may hold."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from payments_verify import binding as binding_file
from payments_verify.binding.variables import texts
from payments_verify.cli.telling import say
from payments_verify.payments.conformance.examination import Examination
from payments_verify.systems.kept_http import secrets_of
from pgweave.redaction import SHORTEST, redacted, redacted_json, too_short
from pgweave.visible import without_passwords

_ASSIGNED = re.compile(
    r"""\b(\w*(?:secret|token|passw|api_?key|credential)\w*)=('[^']*'|"[^"]*"|[^\s'"&]+)""", re.IGNORECASE
)
_IN_A_URL = re.compile(r"""://[^\s:/@'"]*:([^\s'"@]+)@""")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_OF_RUNS = ("histories", "pictures", "programs", "schedules")
_QUOTE = r"""(?:\\*"|&quot;|&\#34;)"""
_TOLD = re.compile(
    rf"({_QUOTE}(?:(?:access|refresh|id|session|auth|csrf)_?token|client_secret|password|api_?key){_QUOTE}\s*:\s*"
    rf"{_QUOTE})[^\s\"\\&<]+",
    re.IGNORECASE,
)
"""What an answer tells that nobody asked for by name: a session that could be taken over."""


def binding_text(binding: Path | None) -> str:
    """The text of a binding's file; of the default one, if it is none or named ``default``."""
    if binding is None or binding == Path("default"):
        return binding_file.default_text()
    return binding.read_text(encoding="utf-8")


def known_secrets(binding: Path | None, given: str, seen: Examination | None) -> Mapping[str, str]:
    """Each secret, and the name of the variable that stands in its place; those that stay are told.

    Args:
        binding: the binding's file.
        given: the command or URL of the service.
        seen: the examination, which has learned more; ``None`` if it did not come to one.
    """
    text = binding_text(binding)
    secrets = {os.environ.get(name, ""): name for name in _VARIABLE.findall(text)}
    learned = {} if seen is None else seen.secrets
    secrets = {**secrets_of(binding_file.parse(text, "binding")), **learned, **secrets}
    words = "\n".join([given, *sys.argv, *(each for _, each in texts(tomllib.loads(text)))])
    found = [(value.strip("'\""), name.upper()) for name, value in _ASSIGNED.findall(words)]
    found += [(value, "PASSWORD") for value in _IN_A_URL.findall(words)]
    for value, name in found:
        if not _PLACEHOLDER.search(value):
            secrets.setdefault(value, name)
            secrets.setdefault(unquote(value), name)
    for name in too_short(secrets):
        say(f"not left out of what is written: {name}, it is shorter than {SHORTEST} characters", err=True)
    return secrets


def leave_out(folder: Path, secrets: Mapping[str, str], own: Path | None = None) -> bool:
    """Leave secrets out of every file of a folder; whether that was done, which is always so.

    Args:
        folder: the folder.
        secrets: those that are known.
        own: the part of it that the service has written: nothing else is changed there.

    Raises:
        OSError: a file cannot be read or written.
    """
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        told = without_passwords(text)
        if own is None or own not in path.parents:
            told = _TOLD.sub(r"\1…", told)
        redact = redacted_json if path.suffix in {".json", ".jsonl"} else redacted
        shown = redact(told, secrets)
        if shown != text:
            path.write_text(shown, encoding="utf-8", errors="surrogateescape")
    return True


def leave_out_of_runs(folder: Path, secrets: Mapping[str, str]) -> bool:
    """The same for what ran, beside which other files may lie."""
    return all(leave_out(folder / each, secrets) for each in _OF_RUNS)
