"""Value objects: what a caller may ask for, checked once where it enters."""

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from payments_core.domain.errors import InvalidValue

Instant: TypeAlias = int
"""µs since the Unix epoch, UTC, on the database's clock."""

MIN_AMOUNT_CENTS = 1
MAX_AMOUNT_CENTS = 999_999_999_999
SECOND = 1_000_000
MAX_WINDOW = 31 * 86_400 * SECOND
MAX_KEY_LENGTH = 255
MAX_STORED_REFUSALS = 1_000
"""How many refused captures of one payment are stored, unless the service is set up otherwise."""


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money that a payment may have.

    Attributes:
        cents: 1 to 999,999,999,999 cents.

    Raises:
        InvalidValue: if ``cents`` is outside that range.
    """

    cents: int

    def __post_init__(self) -> None:
        if not MIN_AMOUNT_CENTS <= self.cents <= MAX_AMOUNT_CENTS:
            raise InvalidValue(
                f"an amount is {MIN_AMOUNT_CENTS} to {MAX_AMOUNT_CENTS} cents, not {self.cents}"
            )


@dataclass(frozen=True, slots=True)
class CaptureWindow:
    """For how long after its authorization a payment may be captured.

    Attributes:
        duration: in µs, at most 31 days.

    Raises:
        InvalidValue: if ``duration`` is not positive or too long.
    """

    duration: int

    def __post_init__(self) -> None:
        if not 1 <= self.duration <= MAX_WINDOW:
            seconds = Decimal(self.duration) / SECOND  # a float would overflow on a huge one
            raise InvalidValue(f"a capture window is 1 to {MAX_WINDOW // SECOND} seconds, not {seconds:g}")


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """The name a client gives to one capture request, so that it may send it again.

    Opaque: case and spaces count.

    Attributes:
        text: 1 to 255 characters, each a visible ASCII character or a space.

    Raises:
        InvalidValue: if ``text`` is empty, too long, or has another character.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.text:
            raise InvalidValue("the idempotency key is empty")
        if len(self.text) > MAX_KEY_LENGTH:
            raise InvalidValue(
                f"an idempotency key has at most {MAX_KEY_LENGTH} characters, not {len(self.text)}"
            )
        if not (self.text.isascii() and self.text.isprintable()):  # space to tilde
            raise InvalidValue("an idempotency key has visible ASCII characters and spaces only")
