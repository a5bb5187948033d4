"""The files that `payments-verify history` is given, one by one or in folders."""

from __future__ import annotations

from pathlib import Path

from payments_verify.cli.telling import say
from pgweave.history.formats import histories_in

_LONG_BYTES = 4_000_000
_MOST_NAMED = 8


def files_of(path: Path) -> list[Path]:
    """Return the file, or the histories in the folder; the folder itself if none can be found there.

    Args:
        path: The file or folder. What a folder has besides is told on standard error.
    """
    if not path.is_dir():
        return [path]
    try:
        found, others = histories_in(path)
    except OSError:
        return [path]
    if others:
        names = ", ".join(f"{each.relative_to(path)}" for each in others[:_MOST_NAMED])
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        say(f"{path}: no histories by their names, and not read: {names}{more}", err=True)
    return found or [path]


def is_long(path: Path) -> bool:
    """Say whether a file is large enough to be checked for seconds.

    Args:
        path: The file.
    """
    try:
        return path.stat().st_size > _LONG_BYTES
    except OSError:
        return False
