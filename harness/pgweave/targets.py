"""What a user's module has under a name: the arguments of a function of the front door, or a spec."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pgweave.clients import named
from pgweave.scenario import UseError

_GIVEN_BY_OPTIONS = {"path", "dsn", "limit_s", "on_schedule"}


def arguments_in(target: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    """The arguments of a function, by the name of what has them: a dict, what returns one, or a module.

    Raises:
        UseError: there are none, or not all that it needs.
    """
    what = f"pgweave.{function.__name__}"
    parameters = inspect.signature(function).parameters
    known = [name for name in parameters if name not in _GIVEN_BY_OPTIONS]
    found = loaded(target)
    if inspect.ismodule(found):
        found = {name: getattr(found, name) for name in known if hasattr(found, name)}
    try:
        arguments: Any = found() if callable(found) else found
    except Exception as error:
        raise UseError(f"{target} raised {named(error)}") from error
    if not isinstance(arguments, Mapping):
        raise UseError(f"{target} is no dict of the arguments of {what}, nor returns one")
    if unknown := ", ".join(repr(each) for each in arguments if each not in known):
        raise UseError(f"{target} has {unknown}; {what} takes {', '.join(sorted(known))}")
    needed = [name for name in known if parameters[name].default is inspect.Parameter.empty]
    if missing := [name for name in needed if name not in arguments]:
        raise UseError(f"{target} lacks {' and '.join(map(repr, missing))}, which {what} needs")
    return arguments


def loaded(target: str) -> Any:  # noqa: ANN401 - whatever it is
    """What a module has under a name, or the module; it is named, or its file.

    Raises:
        UseError: there is none.
    """
    module, _, name = target.partition(":")
    folder = ""
    if module.endswith(".py"):
        folder, module = str(Path(module).parent.resolve()), Path(module).stem
    sys.path.insert(0, folder)
    try:
        loaded = import_module(module)
        return getattr(loaded, name) if name else loaded
    except Exception as error:
        raise UseError(f"{target} cannot be had, here or where Python has modules: {named(error)}") from error
