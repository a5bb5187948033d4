"""A function of the binding's author: signs a request, in Python, beside the binding file."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeAlias

Sign: TypeAlias = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""Takes a request's method, its path and query, its header fields and its body; gives more header fields."""


class HookError(ValueError):
    """A hook that cannot be used; the message says why."""


@cache
def signer(named: str) -> Sign:
    """The function of a name, ``FILE.py:FUNCTION``.

    Raises:
        HookError: there is no such function, or the file cannot be run.
    """
    file, _, name = named.rpartition(":")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file) if file.endswith(".py") else None
    if spec is None or spec.loader is None:
        raise HookError(f"{named!r} is no FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise HookError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    found: object = getattr(module, name, None)
    if not callable(found):
        raise HookError(f"{file} has no function {name!r}")
    sign: Sign = found
    return sign
