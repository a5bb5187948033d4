"""Bearer tokens: made here, kept by clients; the service knows their hashes only, and what each is for."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from payments_core.entrypoints.called import command_line

_PREFIX = "pay_"  # so that scanners for leaked secrets can find one
_RANDOM_BYTES = 32


class TokenScope(StrEnum):
    """What a token allows."""

    READ = "read"
    WRITE = "write"
    METRICS = "metrics"


_SCOPES = "|".join(TokenScope)
_ENTRY = re.compile(rf"(?:((?:{_SCOPES})(?:\+(?:{_SCOPES}))*):)?([0-9a-fA-F]{{64}})")


class TokensError(ValueError):
    """The settings name no usable tokens; the message says where, and never repeats what stands there."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are accepted.

    Attributes:
        scopes: of each, by its SHA-256 digest. A plain hash will do: what is hashed has 256 random bits.
    """

    scopes: Mapping[bytes, frozenset[TokenScope]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any, and so whether one is asked for."""
        return bool(self.scopes)

    @property
    def listed(self) -> str:
        """All of them, as `load` reads them."""
        return ",".join(entry(digest.hex(), scopes) for digest, scopes in self.scopes.items())

    def scopes_of(self, token: bytes) -> frozenset[TokenScope] | None:
        """The scopes of a token; ``None`` if it is not accepted. The time taken tells nothing of a hash."""
        return self.scopes.get(hashlib.sha256(token).digest())


def load(listed: str, file: Path | None) -> Tokens:
    """The tokens that are listed, separated by commas, and those in a file, one a line.

    Each stands there as ``read+write:`` and its hash, with the scopes that it has; a hash alone has all.

    Raises:
        TokensError: the file cannot be read or has none, or an entry is no hash, or differs from another.
    """
    entries = [
        (f"PAYMENTS_TOKENS, entry {number}", entry.strip())
        for number, entry in enumerate(listed.split(","), 1)
    ]
    entries = entries if listed.strip() else []
    if file is not None:
        kept = _lines(file)
        if not kept:
            raise TokensError(f"PAYMENTS_TOKENS_FILE: {file} has no token; make one: {command_line('token')}")
        entries += kept
    return Tokens(_scopes(entries))


def make() -> tuple[str, str]:
    """A new token, and its hash in hex."""
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return token, hashlib.sha256(token.encode()).hexdigest()


def entry(digest: str, scopes: Iterable[TokenScope]) -> str:
    """How a token is listed, by its hash; without scopes it has all."""
    listed = "+".join(sorted(set(scopes)))
    return f"{listed}:{digest}" if listed else digest


def _lines(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensError(f"PAYMENTS_TOKENS_FILE: {file} cannot be read: {error}") from error
    found = [
        (f"{file}, line {number}", line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)
    ]
    return [(place, entry) for place, entry in found if entry]


def _scopes(entries: Iterable[tuple[str, str]]) -> dict[bytes, frozenset[TokenScope]]:
    scopes: dict[bytes, frozenset[TokenScope]] = {}
    for place, entry in entries:
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise TokensError(
                f"{place}: a token's SHA-256 hash has 64 hexadecimal digits, and what it is for before it, "
                f"as in read+write+metrics:<hash>; make one: {command_line('token')}"
            )
        listed, digest = found[1], bytes.fromhex(found[2])
        granted = frozenset(map(TokenScope, listed.split("+"))) if listed else frozenset(TokenScope)
        if scopes.setdefault(digest, granted) != granted:
            raise TokensError(f"{place}: the same token stands before with other scopes")
    return scopes
