"""The application's modules, more than once: what one copy remembers no other sees, as with processes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType

_PACKAGE = "payments_core"
_WIRING = f"{_PACKAGE}.entrypoints.wiring"


@cache
def wiring_of(instance: int) -> ModuleType:
    """The module that puts an instance of the application together, of modules that are its own.

    Args:
        instance: the instance's number; the first, 0, is what everybody imports.
    """
    if instance == 0:
        return import_module(_WIRING)
    everybodys = _taken_out()
    try:
        return import_module(_WIRING)
    finally:
        _taken_out()
        sys.modules.update(everybodys)


def _taken_out() -> Mapping[str, ModuleType]:
    """The application's modules, which whoever imports next imports anew."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]
    return {name: sys.modules.pop(name) for name in names}
