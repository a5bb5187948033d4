"""Which scope each method of each path needs, as the contract says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from payments_verify.surface.written import PAYMENT, PENDING, UNKNOWN

_OF_NOBODY = "pay_" + "A" * 43


@dataclass(frozen=True)
class Permission:
    """A request that is malformed behind its right, so that it changes nothing where it is let through.

    Attributes:
        scope: the one that it needs; ``None`` if any token will do, and empty if it needs none.
    """

    method: str
    path: str
    scope: str | None
    body: bytes | None = None


PERMISSIONS = (
    Permission("GET", "/payments?limit=1", "read"),
    Permission("HEAD", "/payments?limit=1", "read"),
    Permission("POST", "/payments", "write", b"{}"),
    Permission("GET", f"/payments/{PAYMENT}", "read"),
    Permission("HEAD", f"/payments/{PAYMENT}", "read"),
    Permission("PUT", f"/payments/{UNKNOWN}", "write", b"{}"),
    Permission("POST", f"/payments/{PENDING}/authorize", "write", b"{}"),
    Permission("GET", f"/payments/{PAYMENT}/captures", "read"),
    Permission("POST", f"/payments/{PAYMENT}/captures", "write", b"{}"),
    Permission("POST", f"/payments/{PAYMENT}/fail", "write", b"{}"),
    Permission("GET", "/metrics", "metrics"),
    Permission("OPTIONS", f"/payments/{PAYMENT}/fail", None),
    Permission("GET", "/healthz", ""),
    Permission("GET", "/openapi.json", ""),
    Permission("GET", "/problems/amount_mismatch", ""),
)


def challenges(scope: str | None, tokens: Mapping[str, str]) -> Iterator[tuple[bytes, int]]:
    """Values of ``Authorization``, and the status that each is answered; 0 for any but 401 and 403.

    Args:
        scope: the one that is needed, see `Permission`.
        tokens: a token of each scope alone, by the scope's name.
    """
    any_token = next(iter(tokens.values()))
    refused = 0 if scope == "" else 401
    for value in (
        *("", "Bearer", f"Bearer {_OF_NOBODY}", f"Basic {any_token}", any_token),
        *(f"Bearer {any_token[:-1]}", f"Bearer {any_token}A", f"Bearer {any_token.swapcase()}"),
        *(f"Bearer {any_token}, Bearer {any_token}", f"Bearer {any_token} {any_token}"),
    ):
        yield value.encode(), refused
    for name, token in tokens.items():
        yield f"Bearer {token}".encode(), 0 if scope in (None, "", name) else 403
    if scope:
        yield f"bearer {tokens[scope]}".encode(), 0
