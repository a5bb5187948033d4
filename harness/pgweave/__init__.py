"""The engine: runs concurrent programs that use PostgreSQL in every order, and judges their answers.

It knows nothing of what the programs are for. ``gate`` holds their statements, ``sql`` says what a statement
touches, ``scheduler`` performs one order, ``interleavings`` chooses the orders, ``history`` judges answers,
``timeline`` draws, ``clock`` gives a database a clock that can be set, ``service`` starts what is examined.

``explore`` and ``replay`` are the front door (`pgweave.api`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgweave.api import Result, explore, replay
    from pgweave.race import Command, UseError

__all__ = ["Command", "Result", "UseError", "explore", "replay"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever it is
    """Import the front door when somebody comes through it: who checks a history needs no database."""
    if name not in __all__:
        raise AttributeError(f"module 'pgweave' has no attribute {name!r}")
    return getattr(import_module("pgweave.api"), name)
