"""The specifications that histories can be checked against, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from payments_verify.payments.specification.spec import Payments
from pgweave.history.spec import Spec, SpecError
from pgweave.history.specs import SPECS as GENERIC

SPECS: dict[str, Callable[[], Spec[Any]]] = {
    **GENERIC,
    Payments.name: Payments,
}
"""A factory for every specification. The key is the specification's `name`."""


def spec_named(name: str) -> Spec[Any]:
    """Return a specification by its name.

    Args:
        name: A key of `SPECS`.

    Raises:
        SpecError: There is none of that name; lists those there are.
    """
    if name not in SPECS:
        raise SpecError(f"no specification is named {name!r}; there are {', '.join(sorted(SPECS))}")
    return SPECS[name]()
