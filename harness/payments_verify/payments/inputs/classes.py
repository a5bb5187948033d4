"""Inputs in classes: what an implementation may take for equal, and where types and calendars end.

A class is data. The machine runs a short program for each (`input_programs`), and draws from them in others;
how often programs came to each is counted (`input_reach`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from payments_model import MAX_AMOUNT
from payments_verify.payments.observed.traits import Traits

EPOCH = 1_900_000_000_000_000
"""An instant of the year 2030, in µs; a whole second."""
BEGIN = EPOCH + 123_457
"""Where the database's clock stands when a run begins: no whole second, nor ms, nor even."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
HALF_HOUR = 1_800 * SECOND
TIME_ZONE = "EST5EDT,M3.2.0,M11.1.0"
"""The time zone of hosts and sessions while a service is examined: not UTC, and with two changes a year.

It is spelled out as POSIX does, because not every machine has a database of time zones.
"""
NAMED_TIME_ZONE = "America/New_York"
"""The same by its name, for hosts that have one: some libraries know no other way to say it."""


def _long(length: int) -> tuple[str, str]:
    return "k" * (length - 1) + "1", "k" * (length - 1) + "2"


ALIKE_KEYS: Mapping[str, Sequence[str]] = {
    "keys: differ in character 37": _long(37),
    "keys: differ in character 65": _long(65),
    "keys: differ in character 129": _long(129),
    "keys: differ in character 255": _long(255),
    "keys: long, differ in the first character": ("1" + "k" * 254, "2" + "k" * 254),
    "keys: case": ("key-a", "KEY-A", "Key-a"),
    "keys: spaces at the edges": ("key", " key", "key ", "  key"),
    "keys: spaces within": ("k 1", "k  1", "k1"),
    "keys: prefixes of each other": ("order-10", "order-1", "order-100"),
    "keys: leading zeros and signs": ("1", "01", "001", "+1", "-1"),
    "keys: ways to write a number": ("16", "16.0", "1.6e1", "0x10", "1_6"),
    "keys: ways to write a UUID": (
        "0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e",
        "0B9F5D1C-6F5C-4A5E-9A39-8A3F4F1F2F0E",
        "0b9f5d1c6f5c4a5e9a398a3f4f1f2f0e",
        "{0b9f5d1c-6f5c-4a5e-9a39-8a3f4f1f2f0e}",
    ),
    "keys: punctuation that collations pass over": ("co-op", "coop", "co.op", "co'op", "co op"),
    "keys: quotes": ("key", '"key"', "'key'", "`key`"),
    "keys: backslashes and escapes of JSON": ("A", "\\u0041", "\\A", "A\\", "\\\\A"),
    "keys: escapes of URLs": ("a b", "a+b", "a%20b", "a%2520b"),
    "keys: paths and queries": ("a", "a/", "./a", "b/../a", "a?b", "a#b"),
    "keys: entities of HTML": ("a&b", "a&amp;b", "a&#38;b"),
    "keys: wildcards of SQL": ("a%", "a_", "ab", "a%%"),
    "keys: quotes and comments of SQL": ("it's", "it''s", "a--b", "a", "a/*b*/"),
    "keys: lists and parameters of headers": ("a", "a,b", "a, b", "a;b", "a; b=1"),
    "keys: what a shell expands": ("$HOME", "${HOME}", "~", "a*", "a?", "`a`"),
    "keys: separators of joined keys": ("a:b", "a|b", "a/b", "a,b"),
    "keys: words of a language": ("null", "None", "true", "True", "1", "NaN"),
    "keys: one letter less, more, or another": (
        "key-12",
        "key-1",
        "ey-12",
        "kkey-12",
        "key-122",
        "key-13",
        "key12",
    ),
    "keys: the same letters in another order": ("abc", "cab", "bca"),
    "keys: equal by CRC-32, FNV-1a, or the hash of Java's strings": (
        *("plumless", "buckeroo"),
        *("costarring", "liquid"),
        *("AaAa", "BBBB"),
    ),
    "keys: equal in 32 bits of MD5, of SHA-256, or by PostgreSQL's hashtext": (
        *("order-44598", "order-61101"),
        *("order-19537", "order-32133"),
        *("order-116870", "order-126592"),
    ),
}
"""Keys that are not equal, by what an implementation does that takes them for equal."""

ANOTHER_PAYMENTS_KEY = "keys: another payment has used it"
SHARED_KEY = "shared"
"""The key that one payment uses after another."""

TWO_FORMS = "keys: bare, and as a quoted string"
ASKED_MUCH_LATER = "keys: asked again a day and a month later"

NO_AMOUNT = "amounts: what is none"
ASKED_BEFORE_IT_IS = "orders: asked for before it is created"
SEEN_AT_ONCE = "orders: looked at by each process just before and just after each change"
LONG_LIST = "lists: more attempts than a page has"
LONG_LIST_LENGTH = 61
"""How many attempts a long list has: pages of 10, 20, 25 and 50 end within it."""
DATED_LIST = "lists: payments of all times"
FULL_LIST = "lists: as many refusals as are stored"
FEW_REFUSALS = 64
"""The most stored refusals to which a program comes; more than a long list has."""

INSTANTS: Mapping[str, int] = {
    name: int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()) * SECOND
    for name, at in {
        "clock: the Unix epoch": "1970-01-01T00:00:00",
        "clock: PostgreSQL's epoch": "2000-01-01T00:00:00",
        "clock: 10^9 seconds": "2001-09-09T01:46:40",
        "clock: daylight saving ends": "2030-11-03T06:00:00",
        "clock: a year ends": "2031-01-01T00:00:00",
        "clock: daylight saving begins": "2031-03-09T07:00:00",
        "clock: a leap day": "2032-02-29T12:00:00",
        "clock: 2^31 seconds": "2038-01-19T03:14:08",
        "clock: a year that is no leap year": "2100-02-28T12:00:00",
        "clock: 2^32 seconds": "2106-02-07T06:28:16",
    }.items()
}
"""Instants that a window may hold, in µs: local time goes back or ahead there, something ends or begins."""

WINDOWS: Mapping[str, int] = {
    "windows: the shortest": SECOND,
    "windows: 2^31 µs": 2_148 * SECOND,
    "windows: 2^32 µs": 4_295 * SECOND,
    "windows: a day": DAY,
    "windows: 2^31 ms": 2_147_484 * SECOND,
    "windows: the longest": 31 * DAY,
    "windows: no whole seconds": SECOND + 1_000,
}
ODD_MICROSECONDS = "clock: odd µs"
AUTHORIZED_LATER = "clock: between creation and authorization"
STANDS_STILL = "clock: stands still"
STEPS_BACK = "clock: steps back"
DUE_FOR_LONG = "clock: due for a µs, and for years"
DUE_FOR: Sequence[int] = (1, SECOND, DAY, 32 * DAY, 366 * DAY, 5 * 366 * DAY)
"""For how long payments are due that one sweep expires, in µs."""
EDGES: Mapping[int, str] = {
    -1: "clock: 1 µs before the end of a window",
    0: "clock: the end of a window",
    1: "clock: 1 µs after the end of a window",
}

LEAST_AND_MOST = "amounts: the least and the most"
_POWERS_OF_TWO = (7, 8, 15, 16, 24, 31, 32)
AMOUNTS: Mapping[str, Sequence[int]] = {
    LEAST_AND_MOST: (1, MAX_AMOUNT),
    "amounts: powers of two": tuple(2**power + more for power in _POWERS_OF_TWO for more in (-1, 0, 1)),
    "amounts: powers of ten": tuple(10**power + more for power in range(1, 12) for more in (-1, 0)),
    "amounts: no binary fraction of 100": (29, 57, 58, 113, 115, 1_001, 1_999, 999_999_999_993),
}
"""Amounts in cents where a type ends, or where hundredths are cut as they become cents again."""

ALIKE_AMOUNTS: Mapping[str, Sequence[int]] = {
    "amounts: equal in 8 or 16 bits": (500, 500 + 2**8, 500 + 2**16),
    "amounts: equal in 32 bits": (500, 500 + 2**32, 500 + 2**31),
    "amounts: equal as floats of 32 bits": (2**24, 2**24 + 1),
    "amounts: equal in whole units": (500, 501, 599, 50_000, 5),
    "amounts: one digit more, or others at the end": (100_000_000_000, 100_000_000_001, 10_000_000_000),
}
"""Amounts that are not equal: the first is authorized, and the others are not captured."""


CLOCK_STAYS = "the clock cannot be moved"
MANY_REFUSALS = "more refusals are stored than a program asks for"
WHOLE_SECONDS = "a window is a number of seconds"
LONG_AGO = "a service may refuse an instant of the past"


def left_out(traits: Traits) -> Mapping[str, str]:
    """The classes that cannot be tried on a service, and why."""
    return dict(_left_out(traits))


def needs_keys(name: str) -> bool:
    """Whether a class is of keys: what they do has to be known of a service, then."""
    return name.startswith("keys: ")


def keys_of(traits: Traits, name: str) -> Sequence[str]:
    """The keys of a class that a service takes."""
    return [key for key in ALIKE_KEYS[name] if traits.takes_key(key)]


def amounts_of(traits: Traits, amounts: Sequence[int]) -> Sequence[int]:
    """Those of the amounts that a service takes."""
    return [amount for amount in amounts if traits.amount(amount) == amount]


def classes_of(traits: Traits) -> list[str]:
    """The classes that can be tried on a service."""
    out = left_out(traits)
    return [name for name in ALL_CLASSES if name not in out]


_OF_THE_CLOCK = (
    ASKED_MUCH_LATER,
    AUTHORIZED_LATER,
    DUE_FOR_LONG,
    *INSTANTS,
    ODD_MICROSECONDS,
    STANDS_STILL,
    STEPS_BACK,
    *EDGES.values(),
    *WINDOWS,
)
ALL_CLASSES: Sequence[str] = (
    *ALIKE_KEYS,
    ANOTHER_PAYMENTS_KEY,
    TWO_FORMS,
    *_OF_THE_CLOCK,
    *AMOUNTS,
    *ALIKE_AMOUNTS,
    NO_AMOUNT,
    ASKED_BEFORE_IT_IS,
    SEEN_AT_ONCE,
    LONG_LIST,
    FULL_LIST,
    DATED_LIST,
)


def _left_out(traits: Traits) -> Iterator[tuple[str, str]]:
    if traits.keys is None:
        yield from ((name, "keys have a form: keys.form, or values.key") for name in ALIKE_KEYS)
    yield from ((name, "limits.keys") for name in ALIKE_KEYS if len(keys_of(traits, name)) < 2)
    if not traits.quotes_keys:
        yield TWO_FORMS, "values.key: keys have one form"
    if not traits.malformed:
        yield NO_AMOUNT, "no answer has the outcome malformed"
    if not (traits.chooses_ids and traits.finds_unknown):
        yield ASKED_BEFORE_IT_IS, "the service chooses ids, or does not say not_found"
    if (traits.max_stored_refusals or LONG_LIST_LENGTH) < LONG_LIST_LENGTH:
        yield LONG_LIST, "limits.max_stored_refusals"
    if (traits.max_stored_refusals or FEW_REFUSALS + 1) > FEW_REFUSALS:
        yield FULL_LIST, MANY_REFUSALS
    if not traits.captures_amounts:
        yield from ((name, "a capture names no amount") for name in ALIKE_AMOUNTS)
    if traits.partial_captures:
        yield from ((name, "limits.partial_captures") for name in ALIKE_AMOUNTS)
    alike = ALIKE_AMOUNTS.items()
    yield from ((name, "limits.max_amount") for name, each in alike if len(amounts_of(traits, each)) < 2)
    yield from _left_out_of_the_clock(traits)


def _left_out_of_the_clock(traits: Traits) -> Iterator[tuple[str, str]]:
    if traits.moves_clock and traits.resolution > 1:
        finer = (ODD_MICROSECONDS, *(name for offset, name in EDGES.items() if offset))
        yield from ((name, "clock.resolution") for name in finer)
    if traits.moves_clock:
        yield from ((name, LONG_AGO) for name, instant in INSTANTS.items() if instant < traits.since)
    if traits.moves_clock and traits.until is not None:
        # A window before the instant, one after it, and one of what is authorized then.
        last = traits.until - 3 * min(WINDOWS["windows: the longest"], traits.max_window)
        yield from ((name, "clock.until") for name, instant in INSTANTS.items() if instant > last)
        if traits.until < EPOCH + 2 * DUE_FOR[-1]:
            yield DUE_FOR_LONG, "clock.until"
    fixed = traits.fixed_window
    if traits.moves_clock and fixed is not None:
        others = (name for name, window in WINDOWS.items() if window != fixed)
        yield from ((name, "limits.fixed_window_seconds") for name in others)
    elif traits.moves_clock:
        longer = (name for name, window in WINDOWS.items() if window > traits.max_window)
        yield from ((name, "limits.max_window_seconds") for name in longer)
        parts = (
            name for name, window in WINDOWS.items() if window % max(traits.window_unit, traits.resolution)
        )
        yield from ((name, WHOLE_SECONDS) for name in parts)
    else:
        yield from ((name, CLOCK_STAYS) for name in (*_OF_THE_CLOCK, DATED_LIST))
