"""Services that are not this repository's, as `peer.toml` in the folder of each says.

::

    stack = "Python, Starlette, psycopg"       # what it is made of
    command = "exec {python} {folder}/app.py"  # the harness's Python, the file's folder; {root}: the checkout
    binding = "binding.toml"                   # its interface; this, beside the file, if not given
    needs = ["node", "{folder}/node_modules"]  # programs, or files; without one it is left out, by name

    [[right]]                                  # once for each way in which it is right
    name = "row lock"
    environment = { LOCKED = "1" }             # beside the harness's own
    level = 5                                  # the highest level that it reaches
    holds_rows = true                          # false: its lock is no row's, and is not held from outside
    without = ["three-captures"]               # scenarios with too many schedules to be explored, if any

    [[wrong]]                                  # once for each known bug
    name = "no lock"
    environment = { BUG = "no-lock" }
    level = 4                                  # the level at which it is found
    scenario = "different-keys"                # the one in which level 4 looks for it, if it is not any
    says = "already_captured"                  # what its counterexample says, or one of a list
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from payments_verify.binding import Binding, load
from payments_verify.payments.conformance.examination import Examination

PEER_FILE = "peer.toml"


class _Way(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    level: int
    environment: dict[str, str] = {}
    holds_rows: bool = True
    without: list[str] = []


class _Bug(_Way, frozen=True, forbid_unknown_fields=True, kw_only=True):
    says: str | list[str]
    scenario: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    command: str
    right: list[_Way]
    stack: str = ""
    wrong: list[_Bug] = []
    binding: str = "binding.toml"
    needs: list[str] = []


@dataclass(frozen=True)
class Peer:
    """A service in one of the ways in which it is right, or with a bug.

    Attributes:
        name: the folder's name, and what is right or wrong of it.
        stack: what it is made of.
        command: the shell command that starts it.
        binding: its interface.
        binding_file: where that was read.
        level: the highest level that it reaches; with a bug, the one at which that is found.
        says: what the counterexample of its bug says, among other things, one of these; empty if it is right.
        scenario: the one in which its bug is looked for; ``None`` for every one.
        without: the scenarios that are not explored: they have too many schedules.
        lacks: what the machine lacks of what it needs; ``None`` if nothing.
    """

    name: str
    stack: str
    command: str
    binding: Binding
    binding_file: Path
    level: int
    says: tuple[str, ...]
    scenario: str | None
    without: tuple[str, ...]
    lacks: str | None

    def explored(self, examination: Examination) -> Examination:
        """The examination with those scenarios alone that are explored of this peer."""
        known = [each for each in examination.scenarios if each.name not in self.without]
        return replace(examination, scenarios=[each for each in known if self.scenario in (None, each.name)])


def peers_in(folder: Path) -> list[Peer]:
    """The peers that are right in the folders of a folder, by name.

    Raises:
        ValueError: a file is none of a peer, or of a binding; says which, and what is wrong.
    """
    return [peer for peer in every_peer_in(folder) if not peer.says]


def every_peer_in(folder: Path) -> list[Peer]:
    """The peers in the folders of a folder, by name, each with its bugs after what is right.

    Raises:
        ValueError: a file is none of a peer, or of a binding; says which, and what is wrong.
    """
    return [peer for file in sorted(folder.glob(f"*/{PEER_FILE}")) for peer in _peers_of(file.resolve())]


def names_meant(text: str, names: Collection[str]) -> list[str]:
    """The names that are this text, or have it as their folder; where none has, those with it in them."""
    whole = [name for name in names if text in (name, name.partition(":")[0])]
    return whole or [name for name in names if text in name]


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
    for way in (*content.right, *content.wrong):
        variables = [shlex.quote(f"{name}={value}") for name, value in way.environment.items()]
        yield Peer(
            name=f"{file.parent.name}: {way.name}",
            stack=content.stack,
            command=f"export {' '.join(variables)}; {command}" if variables else command,
            binding=binding if way.holds_rows else msgspec.structs.replace(binding, lock=None),
            binding_file=file.parent / content.binding,
            level=way.level,
            says=_listed(way.says) if isinstance(way, _Bug) else (),
            scenario=way.scenario if isinstance(way, _Bug) else None,
            without=tuple(way.without),
            lacks=lacks,
        )


def _listed(says: str | list[str]) -> tuple[str, ...]:
    return (says,) if isinstance(says, str) else tuple(says)
