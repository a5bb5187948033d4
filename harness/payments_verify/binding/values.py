"""How values stand in JSON: instants, whole numbers, amounts, and what a path of names leads to."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, cast

import msgspec

from payments_verify.binding.sections import Values

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ABSENT = object()
_NUMBER = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?")

MICROSECONDS = {"microseconds": 1, "milliseconds": 1_000, "seconds": 1_000_000}
"""How many there are in a unit."""


def value_at(document: Any, path: str, default: Any = _ABSENT) -> Any:  # noqa: ANN401 - any JSON value
    """What stands in a document at a path of names with dots between; in a list, of numbers from 0.

    Raises:
        LookupError: there is nothing, and no default.
    """
    found = document
    for name in _names_of(path):
        found = found.get(name, _ABSENT) if type(found) is dict else _below(found, name)
        if found is _ABSENT:
            if default is not _ABSENT:
                return default
            raise LookupError(f"nothing stands at {path!r}")
    return found


def word_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value as a binding names it: a text as it is, others as JSON writes them."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def name_at(document: Any, path: str) -> str | int:  # noqa: ANN401 - any JSON value
    """The name that stands at a path: an id, a key, a token.

    Raises:
        LookupError: there is nothing, or no text and no whole number.
    """
    found = value_at(document, path)
    if isinstance(found, str):
        return found
    try:
        return read_whole_number(found)
    except ValueError:
        raise LookupError(f"{found!r} at {path!r} is no name: neither a text nor a whole number") from None


def _below(document: Any, name: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(document, dict):
        return cast("dict[str, Any]", document).get(name, _ABSENT)
    if isinstance(document, list) and name.isdecimal() and int(name) < len(document):
        return document[int(name)]
    return _ABSENT


@cache
def _names_of(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def read_whole_number(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """A whole number as JSON has it: 1000.0 is 1000, and ``true`` is none.

    Raises:
        ValueError: it is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)


def read_amount(value: Any, values: Values) -> int:  # noqa: ANN401 - any JSON value
    """An amount in cents.

    Raises:
        ValueError: it is no amount, or none of whole cents.
    """
    if values.amount == "cents":
        return read_whole_number(value)
    written = _decimal(value, "amount")
    cents = written if values.amount == "cents text" else written.scaleb(2)
    if cents != int(cents):
        raise ValueError(f"{value!r} is no whole number of cents")
    return int(cents)


def write_amount(cents: int, values: Values) -> int | str | float:
    """An amount in cents as the service takes it."""
    if values.amount in ("cents", "cents text"):
        return cents if values.amount == "cents" else str(cents)
    decimal = Decimal(cents).scaleb(-2)
    return f"{decimal:.2f}" if values.amount == "decimal text" else float(decimal)


def read_instant(value: Any, values: Values) -> int:  # noqa: ANN401 - any JSON value
    """An instant as µs since the Unix epoch.

    Raises:
        ValueError: it is no instant.
    """
    if values.instant == "rfc3339":
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no RFC 3339 instant")
        return read_rfc3339(value)
    unit = MICROSECONDS[values.instant.removeprefix("unix ")]
    # A float of seconds is not exact to the µs, and is nearest to the one that is meant.
    return int((_decimal(value, "instant") * unit).to_integral_value())


def read_rfc3339(text: str) -> int:
    """An RFC 3339 instant as µs since the Unix epoch; it may be in lower case.

    Raises:
        ValueError: it is none, or does not say its offset from UTC.
    """
    read = datetime.fromisoformat(text.upper())
    if read.tzinfo is None:
        raise ValueError(f"{text!r} does not say its offset from UTC, as Z or +00:00")
    return (read - _EPOCH) // _MICROSECOND


def _decimal(value: Any, what: str) -> Decimal:  # noqa: ANN401 - any JSON value
    """A number as JSON has it, or as text.

    Raises:
        ValueError: it is none, or a larger one than any that is meant.
    """
    text = str(value)
    is_number = isinstance(value, str | int | float) and not isinstance(value, bool)
    if not is_number or _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{value!r} is no {what}")
    return Decimal(text)


def as_datetime(us: int) -> datetime:
    """An instant in µs since the Unix epoch as PostgreSQL takes it."""
    return _EPOCH + timedelta(microseconds=us)
