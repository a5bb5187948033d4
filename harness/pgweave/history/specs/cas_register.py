"""Registers with read, write and compare-and-set, at first empty: one, or several by key.

| f | value | `ok` response | `fail` response |
|---|---|---|---|
| `read` | null | the content | says nothing |
| `write` | the new content | ignored | nothing was written |
| `cas` | `[from, to]` | it held `from` and holds `to` now | nothing was written, for whatever reason |

Contents are integers, strings, or null for empty. Where there are several registers each value, and the
response of a read, is `{"key": K, "value": ...}`, and K an integer or a string.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from pgweave.history.operations import Json, Operation, Outcome
from pgweave.history.spec import not_understood

Content: TypeAlias = int | str | None

_KNOWN = "read, write N, cas [from, to], over integers, strings and null"


class CasRegister:
    """The specification of one register; the state is the content."""

    name = "cas-register"

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        """Split by key, see `Spec.partition`; the one register where there are no keys."""
        parts: dict[str, list[Operation]] = {}
        for operation in operations:
            key, of_one = self._of_one(operation)
            label = "register" if key is None else f"register {_text(key)}"
            parts.setdefault(label, []).append(of_one)
        if len(parts) > 1 and "register" in parts:
            raise not_understood(self.name, parts["register"][0], "a register's key, as others have one")
        return parts

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

    def _of_one(self, operation: Operation) -> tuple[int | str | None, Operation]:
        """The key of the register that an operation is of, and the operation without it."""
        key: int | str | None = None
        of_one = operation
        match operation.value:
            case {"key": int() | str() as named, "value": value, **rest} if (
                type(named) is not bool and not rest
            ):
                key = named
                of_one = replace(operation, value=value, response=_of_key(named, operation))
        if not _is_known(of_one):
            raise not_understood(self.name, operation, _KNOWN)
        return key, of_one


class EtcdRegister(CasRegister):
    """The same, where a compare-and-set fails only because the register held another value.

    So it is in the etcd logs among porcupine's test data.
    """

    name = "etcd"

    def step(self, state: Content, operation: Operation) -> tuple[Content, ...]:
        """Perform one operation, see `Spec.step`."""
        match operation.f, operation.value, operation.outcome:
            case "cas", [old, _], Outcome.FAIL if old == state:
                return ()
        return super().step(state, operation)


def _of_key(key: int | str, operation: Operation) -> Json:
    """The response without its key; as it is, and so none that a read can have, if that is another."""
    match operation.response:
        case {"key": answered, "value": value, **rest} if (answered, type(answered), rest) == (
            key,
            type(key),
            {},
        ):
            return value
    return operation.response


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
