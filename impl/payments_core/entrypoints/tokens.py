"""Bearer tokens: made here, kept by clients; the service knows their hashes only."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "pay_"  # so that scanners for leaked secrets can find one
_RANDOM_BYTES = 32
_HASH = re.compile(r"[0-9a-fA-F]{64}")


class TokensError(ValueError):
    """The settings name no usable tokens; the message says where, and never repeats what stands there."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are accepted.

    Attributes:
        digests: the SHA-256 digest of each. A plain hash will do: what is hashed has 256 random bits.
    """

    digests: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any, and so whether one is asked for."""
        return bool(self.digests)

    def accept(self, token: bytes) -> bool:
        """Whether this is one of them. It takes as long for a token that is nearly right as for any other."""
        presented = hashlib.sha256(token).digest()
        accepted = False
        for digest in self.digests:
            accepted |= hmac.compare_digest(presented, digest)
        return accepted


def load(listed: str, file: Path | None) -> Tokens:
    """The tokens whose hashes are listed, separated by commas, and those in a file, one a line.

    Raises:
        TokensError: the file cannot be read or has none, or an entry is no hash.
    """
    entries = [
        (f"PAYMENTS_TOKENS, entry {number}", entry.strip())
        for number, entry in enumerate(listed.split(","), 1)
    ]
    digests = _digests(entries if listed.strip() else [])
    if file is not None:
        kept = _digests(_lines(file))
        if not kept:
            raise TokensError(f"PAYMENTS_TOKENS_FILE: {file} has no token; make one: payments-core token")
        digests += kept
    return Tokens(digests)


def make() -> tuple[str, str]:
    """A new token, and its hash in hex."""
    token = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    return token, hashlib.sha256(token.encode()).hexdigest()


def _lines(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TokensError(f"PAYMENTS_TOKENS_FILE: {file} cannot be read: {error}") from error
    found = [
        (f"{file}, line {number}", line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)
    ]
    return [(place, entry) for place, entry in found if entry]


def _digests(entries: Iterable[tuple[str, str]]) -> tuple[bytes, ...]:
    for place, entry in entries:
        if not _HASH.fullmatch(entry):
            raise TokensError(
                f"{place}: a token's SHA-256 hash has 64 hexadecimal digits; make one: payments-core token"
            )
    return tuple(bytes.fromhex(entry) for _, entry in entries)
