"""Reads history files: our own format, and those of other checkers and their test data.

- `ours`: JSON Lines, see `pgweave.history.json_lines`.
- `jepsen`: the log, or the `history.txt`, of a Jepsen test of compare-and-set registers: `cas-register`.
- `edn`: the `history.edn` of such a test, likewise.
- `porcupine`: the key-value logs among the test data of the porcupine checker: `kv`.

A file may be compressed with gzip. Its text is UTF-8, or UTF-16 with a byte-order mark. One in our own format
is read line by line.
"""

from __future__ import annotations

import gzip
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pgweave.history.formats.jepsen_edn import parse_edn
from pgweave.history.formats.jepsen_log import is_log, parse_jepsen
from pgweave.history.formats.porcupine import parse_porcupine
from pgweave.history.json_lines import parse, parse_lines
from pgweave.history.operations import History, HistoryError

FORMATS: dict[str, Callable[[bytes, str], History]] = {
    "ours": parse,
    "jepsen": parse_jepsen,
    "edn": parse_edn,
    "porcupine": parse_porcupine,
}
"""The reader of every format, by its name."""

SUFFIXES = (".jsonl", ".log", ".txt", ".edn")
"""How the names of histories end; ``.gz`` may follow."""

_GZIP, _UTF_8 = b"\x1f\x8b", b"\xef\xbb\xbf"
_HEAD = 4_096

_JSON = re.compile(rb'\s*\{\s*["}]')
_BLANK = rb"(?:[\s,]|;[^\n]*)*+"
_EDN = re.compile(_BLANK + rb"[\[(]?" + _BLANK + rb"(?:\{\s*[:,;}#]|#jepsen|#_|[\])]|$)")
_KEY = re.compile(rb"[{\s,]:key[\s,]")


def detect(data: bytes, source: str) -> str:
    """Tell the format of a file by its content.

    Args:
        data: The content of the file.
        source: The name of the file, for messages.

    Returns:
        A key of `FORMATS`.

    Raises:
        HistoryError: The content is like none of them.
    """
    if _JSON.match(data):
        return "ours"
    if data.strip() and _EDN.match(data):
        return "porcupine" if _KEY.search(data.partition(b"}")[0]) else "edn"
    if is_log(data):
        return "jepsen"
    start = data.lstrip()[:20]
    what = "the file is empty" if not start else f"the content starts with {start!r}"
    raise HistoryError(f"{source}: {what}; it is like no history format ({', '.join(FORMATS)})")


def load(path: Path, format_name: str | None = None) -> History:
    """Read a history file.

    Args:
        path: The file.
        format_name: A key of `FORMATS`, or None to tell by the content.

    Returns:
        The history.

    Raises:
        HistoryError: The file is not a history of that format; says the line and what was wrong.
        OSError: The file cannot be read.
    """
    source = str(path)
    with path.open("rb") as file:
        is_compressed = file.peek(2).startswith(_GZIP)
        with gzip.open(file) if is_compressed else file as content:
            try:
                if format_name in (None, "ours") and _JSON.match(content.peek(_HEAD).removeprefix(_UTF_8)):
                    return parse_lines(_lines(content), source)
                data = _text(content.read(), source)
            except (OSError, EOFError, zlib.error) as error:
                if not is_compressed:
                    raise
                raise HistoryError(f"{source}: compressed with gzip, and damaged: {error}") from None
    return FORMATS[format_name or detect(data, source)](data, source)


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """A file's lines, read as they are asked for: ended by a line feed, a carriage return, or both."""
    is_first = True
    for line in file:
        text = line.removeprefix(_UTF_8) if is_first else line
        is_first = False
        if b"\r" in text:
            yield from text.removesuffix(b"\n").removesuffix(b"\r").split(b"\r")
        else:
            yield text


def histories_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Tell the files of a folder, and of the folders in it, that are histories by their names.

    Hidden files and folders are left out. No symbolic link to a folder is followed.

    Args:
        folder: The folder.

    Returns:
        Those that are, and those that are not; each by their names.

    Raises:
        OSError: A folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise error

    found = []
    for parent, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    found.sort()
    are = [path for path in found if path.name.removesuffix(".gz").endswith(SUFFIXES)]
    return are, [path for path in found if path not in set(are)]


def _text(data: bytes, source: str) -> bytes:
    """A file's text in UTF-8, without a byte-order mark, its lines ended by a line feed."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise HistoryError(f"{source}: its byte-order mark says UTF-16, and it is not: {error}") from None
    return data.removeprefix(_UTF_8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
