"""What nobody may print is found in what a process has printed, by its kind."""

from __future__ import annotations

import pytest

from payments_verify.surface.unlogged import Secrets, on_the_wire, requests

SECRETS = Secrets()


def test_nothing_is_found_where_nothing_is() -> None:
    assert SECRETS.found_in(f"{Secrets()}") is None


@pytest.mark.parametrize(
    ("printed", "begins"),
    [
        (f"x {SECRETS.key} y", "I3: a process has printed the key: … x s"),
        (SECRETS.path, "I11: a process has printed the path: "),
        (f'"/payments/{SECRETS.payment}"', "I11: a process has printed the payment: "),
        (SECRETS.key + SECRETS.body, "I3, I11: a process has printed the body, the key: "),
        (f"postgresql://me:{SECRETS.password}@host", "I11: a process has printed the password: "),
    ],
    ids=["key", "path", "payment", "body and key", "password"],  # they are drawn: those of two runs differ
)
def test_what_is_printed_is_told(printed: str, begins: str) -> None:
    told = SECRETS.found_in(printed)
    assert told is not None
    assert told.startswith(begins)


def test_each_of_them_is_sent() -> None:
    sent = "".join(map(str, requests(SECRETS)))
    told = SECRETS.found_in(sent)
    assert told is not None
    assert told.startswith(
        "I3, I11: a process has printed the body, the fields, the key, the other_payment, the path, "
        "the payment"
    )
    wire = str(SECRETS.found_in("".join(str(each.steps) for each in on_the_wire(SECRETS))))
    assert wire.startswith("I11: a process has printed the body, the fields, the path: ")
