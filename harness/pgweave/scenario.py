"""What a user gives: clients that race, what they race for, and what has to be true of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import Any, TypeAlias

from pgweave.history.spec import Spec

Setup: TypeAlias = Callable[..., Any]
"""Brings the database to where a race begins, always the same. Gets a connection string; async or plain."""

Client: TypeAlias = Callable[..., Any]
"""Gets a connection string or a URL, and what the setup returned. Returns its answer. Async or plain.

With a service it also gets a connection string, for what it does beside the service: to move a clock, say.
"""

Check: TypeAlias = Callable[..., Any]
"""Gets a connection string, what the setup returned, and the answers in the order of the clients.

It raises `AssertionError` or returns ``False`` if something is wrong. Async or plain.
"""

Application: TypeAlias = Callable[[str], Any]
"""Gets a connection string, and returns an ASGI application that uses it."""


class UseError(RuntimeError):
    """There can be no verdict as things are; the message says what to do."""


@dataclass(frozen=True)
class Command:
    """A service, which a command starts. It serves HTTP at ``HOST`` and ``PORT`` of its environment.

    Attributes:
        shell: the command, for the shell: ``my-service --port $PORT``.
        ready: a path that it answers with anything below 500 once it serves.
        variable: where in its environment it looks for its database.
    """

    shell: str
    ready: str = "/"
    variable: str = "DATABASE_URL"


@dataclass(frozen=True)
class Scenario:
    """What is explored.

    Attributes:
        setup: what happens before each schedule.
        clients: who races: each makes one operation, or several one after the other.
        check: what is asked of the end of each schedule.
        spec: what the clients' answers have to be linearizable to.
        service: whom the clients ask; nothing if they use the database themselves.
        called: what the clients are called; nothing if by their functions.
    """

    setup: Setup
    clients: Sequence[Client | Sequence[Client]]
    check: Check | None = None
    spec: Spec[Any] | None = None
    service: Command | Application | None = None
    called: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.clients or not all(self.operations):
            raise UseError("there is no client: give at least one")
        if self.check is None and self.spec is None:
            raise UseError("nothing says what is right: give a check, or a spec")
        _require_callable("the setup", self.setup, 1)
        for operation in (each for client in self.operations for each in client):
            _require_callable(f"the client {name_of(operation)}", operation, 3)
        if self.check is not None:
            _require_callable("the check", self.check, 3)
            _require_answers_third(self.check)
        if self.spec is not None and not isinstance(self.spec, Spec):
            raise UseError(f"the spec {self.spec!r} lacks what the checker asks: derive it from pgweave.Spec")
        if callable(self.service) and not _takes_one(self.service):
            raise UseError(
                "the service is no function of a connection string: an application that has its database"
                " already would go past the proxy; give a function that makes it from the string"
            )

    @property
    def operations(self) -> list[tuple[Client, ...]]:
        """The operations of each client."""
        return [(each,) if callable(each) else tuple(each) for each in self.clients]

    @property
    def names(self) -> list[str]:
        """What each client is called."""
        called = self.called or [
            name_of(client[0]) if len(client) == 1 else "client" for client in self.operations
        ]
        return [f"{name} {number}" for number, name in enumerate(called)]


def name_of(client: Client) -> str:
    """The name of an operation: that of its function."""
    function = client.func if isinstance(client, partial) else client
    return str(getattr(function, "__name__", type(function).__name__))


def argument_of(client: Client) -> dict[str, Any] | None:
    """The argument of an operation: what `functools.partial` has bound, by name."""
    if not isinstance(client, partial):
        return None
    return dict(inspect.signature(client.func).bind_partial(*client.args, **client.keywords).arguments)


def arguments_taken(function: Callable[..., Any], most: int) -> int:
    """How many of the arguments it is given a function wants: it may leave out the last.

    A parameter that has a default keeps it.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one of C: it says itself what it takes
        return most
    wanted = list(takewhile(lambda each: each.default is each.empty, parameters))
    if any(each.kind is each.VAR_POSITIONAL for each in wanted):
        return most
    positional = [each for each in wanted if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return min(most, len(positional))


def _require_callable(what: str, function: Any, most: int) -> None:  # noqa: ANN401 - the user's
    given = ("the address", "what the setup returned", "more")[:most]
    if not callable(function):
        raise UseError(f"{what} is no function: {function!r}")
    try:
        inspect.signature(function).bind(*given[: arguments_taken(function, most)])
    except TypeError as error:
        raise UseError(f"{what} cannot be called with {', '.join(given)}: {error}") from None
    except ValueError:  # one of C
        return


def _require_answers_third(check: Check) -> None:
    """Refuse a check whose parameter ``answers`` would be given something else, or keep its default."""
    try:
        parameters = list(inspect.signature(check).parameters.values())
    except ValueError:  # one of C
        return
    answers = next((each for each in parameters if each.name == "answers"), None)
    if answers is not None and (parameters.index(answers) != 2 or answers.default is not answers.empty):
        raise UseError(
            "the check would not be given the answers: they are its third argument, without a default, after"
            " what the setup returned; write check(dsn, made, answers)"
        )


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind("a connection string")
    except TypeError:
        return False
    except ValueError:  # one of C
        return True
    return True
