"""Services that are not this repository's and are right, as `peer.toml` in the folder of each says.

::

    command = "exec {python} {folder}/app.py"  # the harness's Python, the file's folder; {root}: the checkout
    binding = "binding.toml"                   # its interface; this, beside the file, if not given
    needs = ["node", "{folder}/node_modules"]  # programs, or files; without one it is left out, by name

    [[right]]                                  # once for each way in which it is right
    name = "row lock"
    environment = { LOCKED = "1" }             # beside the harness's own
    level = 5                                  # the highest level that it reaches
    holds_rows = true                          # false: its lock is no row's, and is not held from outside
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from payments_verify.binding import Binding, load

PEER_FILE = "peer.toml"


class _Right(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    level: int
    environment: dict[str, str] = {}
    holds_rows: bool = True


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: str
    right: list[_Right]
    binding: str = "binding.toml"
    needs: list[str] = []


@dataclass(frozen=True)
class Peer:
    """A right service.

    Attributes:
        name: the folder's name, and what is right of it.
        command: the shell command that starts it.
        binding: its interface.
        level: the highest level that it reaches.
        lacks: what the machine lacks of what it needs; ``None`` if nothing.
    """

    name: str
    command: str
    binding: Binding
    level: int
    lacks: str | None


def peers_in(folder: Path) -> list[Peer]:
    """The peers in the folders of a folder, by name.

    Raises:
        ValueError: a file is none of a peer, or of a binding; says which, and what is wrong.
    """
    return [peer for file in sorted(folder.glob(f"*/{PEER_FILE}")) for peer in _peers_of(file.resolve())]


def _peers_of(file: Path) -> Iterator[Peer]:
    places = {"python": sys.executable, "folder": str(file.parent), "root": str(file.parents[3])}
    try:
        content = msgspec.convert(tomllib.loads(file.read_text()), _File)
        needs = [each.format(**places) for each in content.needs]
        command = content.command.format(**places)
    except (ValueError, LookupError) as error:
        raise ValueError(f"{file}: {error}") from None
    binding = load(file.parent / content.binding)
    lacks = next((each for each in needs if shutil.which(each) is None and not Path(each).exists()), None)
    for right in content.right:
        variables = [shlex.quote(f"{name}={value}") for name, value in right.environment.items()]
        yield Peer(
            name=f"{file.parent.name}: {right.name}",
            command=f"export {' '.join(variables)}; {command}" if variables else command,
            binding=binding if right.holds_rows else msgspec.structs.replace(binding, lock=None),
            level=right.level,
            lacks=lacks,
        )
