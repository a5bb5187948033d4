"""Options of a connection (``options`` in DATABASE_URL, or PGOPTIONS), read as the server reads them."""

import re

_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_FLAGS = re.compile(r"-[bEeFijlnOPsT]*[c-]")
"""Of a setting: ``-c name=…``, ``-cname=…`` or ``--name=…``; flags that need no value may come before."""


def named(options: str) -> frozenset[str]:
    """The names of the settings that options make, whichever way each of them is written."""
    names = set[str]()
    words = iter(_WORD.findall(options))
    for word in words:
        if (flags := _FLAGS.match(word)) is not None:
            name, _, _ = (word[flags.end() :] or next(words, "")).partition("=")
            names.add(name.replace("\\", "").replace("-", "_").lower())
    return frozenset(names)
