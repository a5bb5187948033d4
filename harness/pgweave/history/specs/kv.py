"""A store of strings by key with get, put and append; every key starts as the empty string.

Values and responses are objects: `get {"key": K}` answers `{"key": K, "value": V}`; `put` and `append` are
`{"key": K, "value": V}`, and their answer is ignored. A `fail` is a refusal that says nothing and changed
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pgweave.history.operations import Json, Operation, Outcome
from pgweave.history.spec import not_understood

_KNOWN = 'get {"key": K} -> {"key": K, "value": V}, put and append {"key": K, "value": V}, over strings'
_SHOWN = 40


class KeyValue:
    """The specification of one key; the state is its string."""

    name = "kv"

    def partition(self, operations: Sequence[Operation]) -> Mapping[str, Sequence[Operation]]:
        """Split by key, see `Spec.partition`."""
        parts: dict[str, list[Operation]] = {}
        for operation in operations:
            parts.setdefault(f"key {json.dumps(self._key(operation))}", []).append(operation)
        return parts

    def initial(self) -> str:
        """Return the empty string."""
        return ""

    def step(self, state: str, operation: Operation) -> tuple[str, ...]:
        """Perform one operation, see `Spec.step`."""
        match operation.f, operation.outcome:
            case "get", Outcome.OK:
                return (state,) if _string(operation.response) == state else ()
            case "put", Outcome.OK | Outcome.UNKNOWN:
                return (_string(operation.value) or "",)
            case "append", Outcome.OK | Outcome.UNKNOWN:
                return (state + (_string(operation.value) or ""),)
            case _:
                return (state,)

    def observes(self, operation: Operation) -> bool:
        """Gets and refusals leave the string as it is."""
        return operation.f == "get" or operation.outcome is Outcome.FAIL

    def can_lead_to(self, state: str, operation: Operation, meanwhile: Iterable[Operation]) -> bool:
        """Say whether the string can become what a get answered, see `Foresight.can_lead_to`.

        An append only makes the string longer. So the answer begins with the string that there is now, or
        with what a put leaves.
        """
        if operation.f != "get" or operation.outcome is not Outcome.OK:
            return True
        answer = _string(operation.response) or ""
        return answer.startswith(state) or any(
            each.f == "put" and answer.startswith(_string(each.value) or "") for each in meanwhile
        )

    def describe(self, operation: Operation) -> str:
        """Return for example `get -> "ab"`, `append "b" -> ok`, `put "a" -> ?`."""
        argument = "" if operation.f == "get" else f" {_shown(_string(operation.value))}"
        match operation.f, operation.outcome:
            case _, Outcome.UNKNOWN:
                observed = "?"
            case "get", Outcome.OK:
                observed = _shown(_string(operation.response))
            case _:
                observed = str(operation.outcome)
        return f"{operation.f}{argument} -> {observed}"

    def expected(self, state: str, operation: Operation) -> str:
        """Return the string for a get, `ok` for the rest."""
        return _shown(state) if operation.f == "get" else str(Outcome.OK)

    def _key(self, operation: Operation) -> str:
        match operation.f, operation.value:
            case "get", {"key": str() as key, **rest} if not rest and _answers_get(operation, key):
                return key
            case "put" | "append", {"key": str() as key, "value": str(), **rest} if not rest:
                return key
            case _:
                raise not_understood(self.name, operation, _KNOWN)


def _answers_get(operation: Operation, key: str) -> bool:
    if operation.outcome is not Outcome.OK:
        return True
    match operation.response:
        case {"key": answered, "value": str(), **rest}:
            return answered == key and not rest
    return False


def _string(value: Json) -> str | None:
    match value:
        case {"value": str() as content}:
            return content
        case _:
            return None


def _shown(text: str | None) -> str:
    quoted = json.dumps(text)
    if len(quoted) <= _SHOWN:
        return quoted
    # the end of a string that is appended to says more than its beginning
    return f'"...{quoted[-_SHOWN + 4 :]}'
