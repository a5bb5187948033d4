"""One register with read, write and compare-and-set, at first empty.

| f | value | `ok` response | `fail` response |
|---|---|---|---|
| `read` | null | the content | says nothing (a read that timed out) |
| `write` | the new content | ignored | refused, nothing written |
| `cas` | `[from, to]` | it held `from` and holds `to` now | it did not hold `from` |

Contents are integers, strings, or null for empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from payments_verify.history import Json, Operation, Outcome
from payments_verify.spec import not_understood

Content: TypeAlias = int | str | None

_KNOWN = "read, write N, cas [from, to], over integers, strings and null"


class CasRegister:
    """The specification; the state is the content."""

    name = "cas-register"

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        """Return the one register, see `Spec.partition`."""
        for operation in operations:
            if not _is_known(operation):
                raise not_understood(self.name, operation, _KNOWN)
        return {"register": operations}

    def initial(self) -> Content:
        """Return the empty register."""
        return None

    def step(self, state: Content, operation: Operation) -> tuple[Content, ...]:
        """Perform one operation, see `Spec.step`."""
        match operation.f, operation.value, operation.outcome:
            case "read", _, Outcome.OK:
                return (state,) if operation.response == state else ()
            case "write", int() | str() | None as new, Outcome.OK | Outcome.UNKNOWN:
                return (new,)
            case "cas", [old, int() | str() | None as new], Outcome.OK | Outcome.UNKNOWN:
                return (new,) if old == state else ()
            case "cas", [old, _], Outcome.FAIL:
                return (state,) if old != state else ()
            case _:
                return (state,)

    def observes(self, operation: Operation) -> bool:
        """Reads and refusals leave the register as it is."""
        return operation.f == "read" or operation.outcome is Outcome.FAIL

    def describe(self, operation: Operation) -> str:
        """Return for example `read -> 3`, `write 3`, `cas [1, 2] -> fail`, `cas [1, 2] -> ?`."""
        argument = "" if operation.f == "read" else f" {_text(operation.value)}"
        match operation.f, operation.outcome:
            case _, Outcome.UNKNOWN:
                observed = " -> ?"
            case "read", Outcome.OK:
                observed = f" -> {_text(operation.response)}"
            case _:
                observed = f" -> {operation.outcome}"
        return f"{operation.f}{argument}{observed}"

    def expected(self, state: Content, operation: Operation) -> str:
        """Return the content for a read, `ok` or `fail` for the rest."""
        match operation.f, operation.value:
            case "read", _:
                return _text(state)
            case "cas", [old, _]:
                return str(Outcome.OK if old == state else Outcome.FAIL)
            case _:
                return str(Outcome.OK)


def _is_known(operation: Operation) -> bool:
    match operation.f, operation.value:
        case "read", None:
            return operation.outcome is not Outcome.OK or _is_content(operation.response)
        case "write", new:
            return _is_content(new)
        case "cas", [old, new]:
            return _is_content(old) and _is_content(new)
        case _:
            return False


def _is_content(value: Json) -> bool:
    # bool is an int in Python, and True == 1 would make two different contents equal
    return value is None or (isinstance(value, int | str) and not isinstance(value, bool))


def _text(value: Json) -> str:
    match value:
        case None:
            return "nil"
        case [old, new]:
            return f"[{_text(old)}, {_text(new)}]"
        case _:
            return repr(value)
