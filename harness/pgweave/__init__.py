"""The engine: runs concurrent programs that use PostgreSQL in every order, and judges their answers.

It knows nothing of what the programs are for. ``gate`` holds their statements, ``sql`` says what a statement
touches, ``scheduler`` performs one order, ``interleavings`` chooses the orders, ``discovery`` says who can
disturb whom, ``history`` judges answers, ``timeline`` draws, ``clock`` gives a database a clock that can be
set, ``service`` starts what is examined.

``explore``, ``discover``, ``replay`` and ``check_history`` are the front door (`pgweave.api`): it makes a
``scenario`` a ``race`` of ``clients``, whose end ``judging`` judges, and gives a ``result``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pgweave.api import check_history, discover, explore, replay
    from pgweave.discovering import Discovery
    from pgweave.history.operations import Operation
    from pgweave.history.spec import Spec
    from pgweave.result import Result
    from pgweave.scenario import Command, UseError

_WHERE = {
    "Command": "scenario",
    "Discovery": "discovering",
    "Operation": "history.operations",
    "Result": "result",
    "Spec": "history.spec",
    "UseError": "scenario",
    "check_history": "api",
    "discover": "api",
    "explore": "api",
    "replay": "api",
}

__all__ = [
    "Command",
    "Discovery",
    "Operation",
    "Result",
    "Spec",
    "UseError",
    "check_history",
    "discover",
    "explore",
    "replay",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever it is
    """Import the front door when somebody comes through it: who checks a history needs no database."""
    if name not in _WHERE:
        raise AttributeError(f"module 'pgweave' has no attribute {name!r}")
    return getattr(import_module(f"pgweave.{_WHERE[name]}"), name)
