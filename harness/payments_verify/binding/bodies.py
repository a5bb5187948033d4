"""What a request's body is, as far as an OpenAPI document says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from payments_verify.binding.guesses import AMOUNT, KEY, MONEY, UNKNOWN, WINDOW
from payments_verify.binding.openapi import Property

_PLACEHOLDERS = {"authorize": {"window": WINDOW}, "fail": {"reason": ".*reason.*"}, "capture": {"key": KEY}}


def body_of(f: str, members: Sequence[Property]) -> tuple[dict[str, Any], bool]:
    """A command's body, and whether nothing of it is a guess."""
    amount = amount_in(members) if f in ("create", "capture") else None
    sent = {each.path: each for each in members if _is_sent(each, amount, members)}
    body: dict[str, Any] = {}
    is_sure = True
    for member in members:
        value, sure = ("{amount}", True) if member is amount else _value(f, member)
        if (
            value is None
            and member.path in sent
            and not any(each.startswith(f"{member.path}.") for each in sent)
        ):
            value, sure = _example(member), False
        if value is not None:
            _put(body, member.path, value)
            is_sure = is_sure and sure
    return body, is_sure


def _is_sent(member: Property, amount: Property | None, members: Sequence[Property]) -> bool:
    """Whether it is the amount, or required in all that it lies within, or beside the amount."""
    above = member.path.rpartition(".")[0]
    beside = amount is not None and above != "" and amount.path.startswith(f"{above}.")
    return member is amount or all(
        each.required for each in _line(member, members) if not (beside and each is not member)
    )


def amount_in(members: Sequence[Property]) -> Property | None:
    """The member that is the amount: of those that look like it, one that is required and lies least deep."""
    alike = [each for each in members if type_of(each) != "object" and _is_amount(each.path.lower())]
    return min(
        alike,
        key=lambda each: (not all(one.required for one in _line(each, members)), each.path.count(".")),
        default=None,
    )


def first(members: Sequence[Property], words: str) -> Property | None:
    """The member that looks like this and lies least deep."""
    alike = [each for each in members if re.fullmatch(words, each.name)]
    return min(alike, key=lambda each: each.path.count("."), default=None)


def type_of(member: Property | None) -> str:
    """The type of a member; empty where it has none."""
    said = "" if member is None else member.schema.get("type", "")
    return next((each for each in said if each != "null"), "") if isinstance(said, list) else str(said)


def _is_amount(path: str) -> bool:
    above, _, name = path.rpartition(".")
    if name in ("value", "amount") and above:
        return re.fullmatch(MONEY, above.rpartition(".")[2]) is not None
    return re.fullmatch(AMOUNT, name) is not None


def _line(member: Property, members: Sequence[Property]) -> Iterator[Property]:
    """A member, and those that it lies within."""
    return (each for each in members if f"{member.path}.".startswith(f"{each.path}."))


def _value(f: str, member: Property) -> tuple[Any, bool]:
    if "." in member.path:
        return None, True
    for placeholder, words in _PLACEHOLDERS.get(f, {}).items():
        if type_of(member) != "object" and re.fullmatch(words, member.name):
            return f"{{{placeholder}}}", True
    if f == "create" and re.fullmatch(KEY, member.name):
        return "{payment}", False  # another one for each payment
    return None, True


def _example(member: Property) -> Any:  # noqa: ANN401 - any JSON value
    examples = [member.schema.get("const"), member.schema.get("default"), member.schema.get("example")]
    examples += [*member.schema.get("enum", ()), *member.schema.get("examples", ())]
    if member.name.startswith("currency"):
        examples.append("EUR")
    return next((each for each in examples if each is not None), UNKNOWN)


def _put(document: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
    *above, name = path.split(".")
    for each in above:
        document = document.setdefault(each, {})
    document[name] = value
