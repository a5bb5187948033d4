"""What the schema has to refuse: for each invariant, rows and statements that would break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from payments_model import MAX_AMOUNT
from payments_verify.payments.inputs.classes import INSTANTS, SECOND, TIME_ZONE, WINDOWS

ROLE = "payments_app"
"""What the service works as."""

_ID = "'00000000-0000-4000-8000-000000000001'"
_BEGAN, _INSIDE, _ENDED = (f"'2030-01-01 12:{minute}:00+00'" for minute in ("00", "05", "10"))

CREATE = f"INSERT INTO payments (payment_id, amount_cents) VALUES ({_ID}, 500)"
_BORN_FAILED = (
    "INSERT INTO payments"
    " (payment_id, amount_cents, state, authorized_at, capture_expires_at, failed_at, failure_reason)"
    f" VALUES ({_ID}, 500, 'failed', {_BEGAN}, {_ENDED}, {_INSIDE}, 'voided')"
)
AUTHORIZE = (
    f"UPDATE payments SET state = 'authorized', authorized_at = {_BEGAN}, capture_expires_at = {_ENDED}"
)
CAPTURE = f"UPDATE payments SET state = 'captured', captured_at = {_INSIDE}, captured_amount_cents = 500"
FAIL = f"UPDATE payments SET state = 'failed', failed_at = {_INSIDE}, failure_reason = 'voided'"
EVENT = (
    "INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, amount_cents)"
    f" VALUES ({_ID}, 1, 'created', {_BEGAN}, 500)"
)
_TO_FAILED = f"{FAIL}, captured_at = NULL, captured_amount_cents = NULL"
_TO_CAPTURED = f"{CAPTURE}, failed_at = NULL, failure_reason = NULL"


def attempt(outcome: str = "captured", key: str = "k1", amount: int = 500, status: int = 201) -> str:
    """The statement that stores an attempt."""
    return (
        "INSERT INTO capture_attempts"
        " (payment_id, idempotency_key, amount_cents, outcome, status, body, decided_at)"
        f" VALUES ({_ID}, '{key}', {amount}, '{outcome}', {status}, '{{}}', {_INSIDE})"
    )


_REFUSED = attempt("already_captured", "k2", status=409)
_WHOLE_PAYMENT = (
    "INSERT INTO payments (payment_id, amount_cents, state, created_at)"
    f" VALUES ({_ID}, 500, 'pending', {_BEGAN})"
)
_WHOLE_EVENT = (
    "INSERT INTO payment_events"
    " (payment_id, event_number, outcome, decided_at, amount_cents, is_reconstructed)"
    f" VALUES ({_ID}, 1, 'created', {_BEGAN}, 500, false)"
)
_UNGUARDED = ("ALTER TABLE payments DISABLE TRIGGER USER",)
_NO_STATE = (
    "INSERT INTO payments (payment_id, amount_cents, state, authorized_at, capture_expires_at)"
    f" VALUES ({_ID}, 500, 'perhaps', {_BEGAN}, {_ENDED})"
)
AUTHORIZED = (CREATE, AUTHORIZE)
CAPTURED = (*AUTHORIZED, CAPTURE, attempt())


@dataclass(frozen=True)
class Probe:
    """Something that the schema has to refuse.

    Attributes:
        invariant: the invariant that it would break.
        what: the schema's fault if it does not, for people.
        before: legal statements that come first, in the same transaction.
        forbidden: the statement that has to be refused, at once or at commit.
        right: whether it is the role's rights that have to forbid it, and not a constraint.
    """

    invariant: str
    what: str
    before: tuple[str, ...]
    forbidden: str
    right: bool = False


def _of_nothing() -> Iterator[Probe]:
    """Rows that lack what every row has."""
    for column in ("amount_cents", "state", "created_at"):
        yield Probe("I2", f"a payment without {column}", (), _without(_WHOLE_PAYMENT, column))
    for column in ("amount_cents", "outcome", "status", "body", "decided_at"):
        yield Probe("I3", f"an attempt without {column}", AUTHORIZED, _without(_REFUSED, column))
    for columns in (("outcome", "amount_cents"), ("decided_at",), ("is_reconstructed",)):
        yield Probe("I12", f"an event without {columns[0]}", (), _without(_WHOLE_EVENT, *columns))


def _without(statement: str, *columns: str) -> str:
    """An INSERT of nothing in these columns."""
    found = re.fullmatch(r"(.*) \((.*)\) VALUES \((.*)\)", statement)
    assert found is not None
    names, values = (each.split(", ") for each in found.groups()[1:])
    left = ("NULL" if name in columns else value for name, value in zip(names, values, strict=True))
    return f"{found[1]} ({', '.join(names)}) VALUES ({', '.join(left)})"


CONSTRAINTS = (
    Probe("I1", "an amount of nothing", (), CREATE.replace("500", "0")),
    Probe(
        "I1",
        "less captured than authorized",
        (*AUTHORIZED, attempt(amount=499)),
        CAPTURE.replace("500", "499"),
    ),
    Probe("I1", "two successful captures of one payment", CAPTURED, attempt(key="k2")),
    Probe("I2", "a payment that begins as failed", (), _BORN_FAILED),
    Probe("I2", "a captured payment that fails", CAPTURED, _TO_FAILED),
    Probe("I2", "a failed payment that is captured", (*AUTHORIZED, FAIL, attempt()), _TO_CAPTURED),
    Probe("I2", "a captured payment that is captured again", CAPTURED, CAPTURE),
    Probe("I2", "a pending payment that fails", (CREATE,), FAIL),
    Probe("I2", "a state that there is not", _UNGUARDED, _NO_STATE),
    Probe("I2", "an authorization at no time", (CREATE,), "UPDATE payments SET state = 'authorized'"),
    Probe(
        "I2",
        "a failure at no time",
        AUTHORIZED,
        "UPDATE payments SET state = 'failed', failure_reason = 'voided'",
    ),
    Probe("I2", "a failure without a reason", AUTHORIZED, FAIL.replace("'voided'", "NULL")),
    Probe("I2", "a failure for a reason that there is not", AUTHORIZED, FAIL.replace("voided", "perhaps")),
    Probe("I2", "an amount that changes", (CREATE,), f"{AUTHORIZE}, amount_cents = 501"),
    Probe(
        "I2", "a window that moves", AUTHORIZED, f"{FAIL}, capture_expires_at = {_ENDED}::timestamptz + '1s'"
    ),
    Probe("I2", "a payment that is deleted", (CREATE,), "DELETE FROM payments"),
    Probe("I3", "two attempts under one key", (*CAPTURED, _REFUSED), _REFUSED),
    Probe("I3", "a stored answer that changes", CAPTURED, "UPDATE capture_attempts SET body = 'x'"),
    Probe("I3", "a stored answer that is deleted", (*CAPTURED, _REFUSED), "DELETE FROM capture_attempts"),
    Probe("I2", "payments that are emptied", (), "TRUNCATE payments CASCADE"),
    Probe("I3, I11", "stored answers that are emptied", (), "TRUNCATE capture_attempts"),
    Probe("I12", "events that are emptied", (), "TRUNCATE payment_events"),
    Probe("I3", "a key that is too long", AUTHORIZED, attempt("amount_mismatch", "k" * 256, 1, 422)),
    Probe("I3", "a key that is no ASCII", AUTHORIZED, attempt("amount_mismatch", "\u00e9", 1, 422)),
    Probe("I3", "an empty key", AUTHORIZED, attempt("amount_mismatch", "", 1, 422)),
    Probe(
        "I3",
        "a status that the outcome does not have",
        CAPTURED,
        attempt("already_captured", "k2", status=200),
    ),
    Probe("I4", "a malformed request that is stored", AUTHORIZED, attempt("amount_mismatch", "k2", 0, 422)),
    Probe("I5", "a capture at the window's end", (*AUTHORIZED, attempt()), CAPTURE.replace(_INSIDE, _ENDED)),
    Probe("I5", "an expiry before the window's end", AUTHORIZED, FAIL.replace("voided", "expired")),
    Probe("I5", "an authorization without a window", (CREATE,), AUTHORIZE.replace(_ENDED, "NULL")),
    Probe("I5", "a window without a length", (CREATE,), AUTHORIZE.replace(_ENDED, _BEGAN)),
    Probe("I6", "a capture without an attempt", AUTHORIZED, CAPTURE),
    Probe("I6", "a capture at no time", (*AUTHORIZED, attempt()), CAPTURE.replace(_INSIDE, "NULL")),
    Probe("I6", "an amount that is captured before", (CREATE,), f"{AUTHORIZE}, captured_amount_cents = 500"),
    Probe("I6", "a successful attempt without a capture", AUTHORIZED, attempt()),
    Probe("I6", "an attempt of no payment", (), attempt("not_authorized", status=409)),
    Probe("I11", "an attempt with an outcome that there is not", AUTHORIZED, attempt("perhaps", status=409)),
    Probe("I2", "a payment that is created twice", (EVENT,), EVENT.replace(", 1,", ", 2,")),
    Probe("I12", "two events of one number", (EVENT,), EVENT),
    Probe("I12", "an event without what was decided", (), EVENT.replace("500", "NULL")),
    Probe("I12", "an event that changes", (EVENT,), "UPDATE payment_events SET amount_cents = 501"),
    Probe("I12", "an event that is deleted", (EVENT,), "DELETE FROM payment_events"),
    *_of_nothing(),
)
"""What nobody may do."""

RIGHTS = (
    Probe("I2", "the service may delete payments", (), "DELETE FROM payments", right=True),
    Probe("I2", "the service may empty tables", (), "TRUNCATE capture_attempts", right=True),
    Probe("I2", "the service may change amounts", (), "UPDATE payments SET amount_cents = 1", right=True),
    Probe("I3", "the service may rewrite answers", (), "UPDATE capture_attempts SET body = 'x'", right=True),
    Probe("I3", "the service may delete answers", (), "DELETE FROM capture_attempts", right=True),
    Probe(
        "I12", "the service may rewrite events", (), "UPDATE payment_events SET amount_cents = 1", right=True
    ),
    Probe("I12", "the service may delete events", (), "DELETE FROM payment_events", right=True),
    Probe(
        "I2", "the service may turn guards off", (), "ALTER TABLE payments DISABLE TRIGGER USER", right=True
    ),
)
"""What the service's role may not do."""

GRANTED = frozenset(
    {
        "USAGE on public",
        *(
            f"{what} on {table}"
            for what in ("SELECT", "INSERT")
            for table in ("payments", "capture_attempts")
        ),
        *(
            f"UPDATE on payments.{column}"
            for column in (
                *("state", "authorized_at", "capture_expires_at", "captured_at", "captured_amount_cents"),
                *("failed_at", "failure_reason"),
            )
        ),
        "INSERT on payment_events",
        *(f"SELECT on payment_events.{each}" for each in ("payment_id", "event_number", "idempotency_key")),
        "SELECT on _yoyo_migration",
    }
)
"""All that it may do, by itself or as everybody may, but for calling functions."""

_LONGEST_KEY = "~" * 255
_LAST_EVENT = (
    "INSERT INTO payment_events"
    " (payment_id, event_number, outcome, decided_at, amount_cents, idempotency_key, answer_sha256)"
    f" VALUES ({_ID}, {2**31 - 1}, 'amount_mismatch', {_BEGAN}, {MAX_AMOUNT}, '{_LONGEST_KEY}', '')"
)
_OF_MOST = tuple(each.replace("500", f"{MAX_AMOUNT}") for each in (CREATE, AUTHORIZE, CAPTURE))


def _longest_window(change: str) -> tuple[str, ...]:
    """An authorization for the longest window, a second before local time goes ahead, or back."""
    began = f"to_timestamp({INSTANTS[change] // SECOND - 1})"
    ends = f"{began} + interval '{WINDOWS['windows: the longest']} microseconds'"
    event = (
        "INSERT INTO payment_events (payment_id, event_number, outcome, decided_at, capture_expires_at)"
        f" VALUES ({_ID}, 2, 'authorized', {began}, {ends})"
    )
    authorize = AUTHORIZE.replace(_BEGAN, began).replace(_ENDED, ends)
    return f"SET LOCAL TIME ZONE '{TIME_ZONE}'", CREATE, authorize, event


LEGAL = (
    CAPTURED,
    (*AUTHORIZED, FAIL),
    (*CAPTURED, _REFUSED),
    (EVENT, _LAST_EVENT),
    (*_OF_MOST, attempt(key=_LONGEST_KEY, amount=MAX_AMOUNT)),
    _longest_window("clock: daylight saving begins"),
    _longest_window("clock: daylight saving ends"),
)
"""What the service's role has to be allowed to do: a schema that refuses everything holds nothing up."""
