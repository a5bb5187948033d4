"""Settings that a service has to refuse, or to take, before it serves anybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lab.static_checks.findings import Findings

Refusal = Callable[[Mapping[str, str]], str | None]
"""Why a service refuses these variables of the environment; ``None`` if it would serve with them."""

_SETTINGS = re.compile(r"^## Settings$(.*?)^## ", re.MULTILINE | re.DOTALL)
_DEFAULT = re.compile(r"^\| `(\w+)` \| `?([^`|]*?)`? \|", re.MULTILINE)
_HASH = "0" * 64
_NO_NUMBERS = ("", "-1", "ten", "nan", "inf", "1e400")
_AT_LEAST_ONE = (
    *("STATEMENT_TIMEOUT_MS", "LOCK_TIMEOUT_MS", "IDLE_IN_TRANSACTION_TIMEOUT_MS", "TRANSACTION_TIMEOUT_MS"),
    *("POOL_MIN", "POOL_MAX", "POOL_TIMEOUT_S", "REQUEST_TIMEOUT_S", "MAX_REQUESTS", "MAX_CONNECTIONS"),
    *("MAX_STORED_REFUSALS", "SWEEP_BATCH"),
)
"""Of these, nothing and zero are no numbers: nobody is served without the limit, or what it limits."""
_OR_NONE = ("DRAIN_S", "SWEEP_INTERVAL_S")
REFUSED: tuple[tuple[str, str, str], ...] = (
    ("I7, I8", "DATABASE_URL", ""),  # a database of its own would take what another is asked for
    ("I7, I8", "DATABASE_URL", " "),
    *(
        ("I2, I11", "PAYMENTS_TOKENS", tokens)
        for tokens in (",", f"{_HASH},", "read:", f"all:{_HASH}", _HASH[1:])
    ),
    *(("I2, I11", "PAYMENTS_ALLOW_UNAUTHENTICATED", value) for value in ("", "perhaps")),
    *(("I9", f"PAYMENTS_{name}", value) for name in _AT_LEAST_ONE for value in ("0", *_NO_NUMBERS)),
    *(("I9", f"PAYMENTS_{name}", value) for name in _OR_NONE for value in _NO_NUMBERS),
    ("I9", "PAYMENTS_LOCK_TIMEOUT_MS", "10000"),  # as long as a request may take
    *(("I9", "PAYMENTS_ISOLATION", value) for value in ("", "repeatable read", "SERIALIZABLE")),
)
"""Variables and values that are refused, each with the invariants that would be at stake."""

TAKEN: tuple[tuple[str, str], ...] = (
    *(("PAYMENTS_TOKENS", tokens) for tokens in ("", _HASH, f"read+write:{_HASH}, metrics:{'1' * 64}")),
    *((f"PAYMENTS_{name}", "1") for name in (*_AT_LEAST_ONE, *_OR_NONE)),
    *((f"PAYMENTS_{name}", "0") for name in _OR_NONE),
    ("PAYMENTS_LOCK_TIMEOUT_MS", "9999"),
    ("PAYMENTS_DATABASE_ROLE", ""),
)
"""Those that are not."""


def check_environment(refusal: Refusal) -> Findings:
    """Give a service each value alone.

    Args:
        refusal: why it refuses its environment, if it does.
    """
    problems = [
        f"{broken}: {name}={value!r} is not refused"
        for broken, name, value in REFUSED
        if refusal({name: value}) is None
    ]
    refused = [(name, value, refusal(_with_room(name, value))) for name, value in TAKEN]
    problems += [f"I9: {name}={value!r} is refused: {why}" for name, value, why in refused if why is not None]
    return Findings(len(REFUSED) + len(TAKEN), problems)


def documented(page: str) -> dict[str, str]:
    """The defaults that a page gives for settings, by their variables.

    Raises:
        ValueError: it has no table of settings.
    """
    found = _SETTINGS.search(page)
    if found is None:
        raise ValueError("the page has no table of settings")
    return dict(_DEFAULT.findall(found[1]))


def check_defaults(defaults: Mapping[str, str], page: str) -> Findings:
    """Compare the defaults of settings with those that a page promises, see `documented`."""
    promised = documented(page)
    problems = [
        f"I9: {name} is {defaults.get(name, 'no setting')} by default, and the page says {promised.get(name)}"
        for name in sorted({*promised, *defaults})
        if promised.get(name) != defaults.get(name)
    ]
    return Findings(len(promised), problems)


def _with_room(name: str, value: str) -> Mapping[str, str]:
    """The variable, and what goes with it: a lock may be waited for no longer than a request takes."""
    room = {"PAYMENTS_LOCK_TIMEOUT_MS": "500"} if name == "PAYMENTS_REQUEST_TIMEOUT_S" else {}
    return {**room, name: value}
