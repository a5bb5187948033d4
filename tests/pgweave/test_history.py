"""Our history format: what it means, what it refuses and how it says so."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgweave.history.json_lines import parse
from pgweave.history.operations import History, HistoryError, Operation, Outcome

HEADER = b'{"format": "payments-verify-history", "version": 1, "spec": "cas-register"}\n'
INVOKE = b'{"type": "invoke", "process": 0, "f": "write", "value": 1, "time": 5}\n'
OK = b'{"type": "ok", "process": 0, "f": "write", "value": null, "time": 9}\n'
UNKNOWN = OK.replace(b'"ok"', b'"unknown"')


def test_reads_invocations_with_their_responses() -> None:
    read = b'{"type": "invoke", "process": 7, "f": "read"}\n'
    fail = b'{"type": "fail", "process": 7, "f": "read", "value": {"why": "late"}}\r\n'
    history = parse(HEADER + INVOKE + read + OK + fail, "h")
    assert history == History(
        (
            Operation(0, "write", 1, Outcome.OK, None, called=0, returned=2),
            Operation(7, "read", None, Outcome.FAIL, {"why": "late"}, called=1, returned=3),
        ),
        spec="cas-register",
    )


def test_the_header_is_optional() -> None:
    history = parse(b"\n" + INVOKE + b"\n" + OK, "h")
    assert len(history.operations) == 1
    assert history.spec is None


@pytest.mark.parametrize("end", [UNKNOWN, b""], ids=["unknown", "no response"])
def test_an_operation_without_an_answer_is_open_to_the_end(end: bytes) -> None:
    other = INVOKE.replace(b'"process": 0', b'"process": 1')
    assert parse(INVOKE + end + other, "h").operations[0] == Operation(
        0, "write", 1, Outcome.UNKNOWN, None, called=0, returned=None
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "h: the file is empty"),
        (b" \n\t\n", "h: the file is empty"),
        (b"\xff\xfe\n", "h:1: not a valid event: JSON is malformed"),
        (INVOKE + b'{"type": "ok"', "h:2: not a valid event: Input data was truncated"),
        (INVOKE + b'"\xff"', "h:2: not a valid event"),
        (INVOKE + b"[" * 100_000, "h:2: "),
        (b'{"value": ' + b"[" * 100_000 + b"}", "h:1: the JSON is nested too deeply"),
        (b"[]\n", "h:1: not a valid event: Expected `object`, got `array`"),
        (b"{}\n", "h:1: not a valid event: Object missing required field `type`"),
        (INVOKE.replace(b"invoke", b"call"), "h:1: not a valid event: Invalid enum value 'call'"),
        (INVOKE.replace(b"0", b"-1"), "h:1: .*process"),
        (INVOKE.replace(b"0", b'"0"'), "h:1: .*Expected `int`, got `str`"),
        (INVOKE.replace(b'"write"', b'""'), "h:1: .*length >= 1"),
        (INVOKE.replace(b"time", b"tiem"), "h:1: .*unknown field `tiem`"),
        (HEADER.replace(b"1", b"2"), "h:1: version 2 is not supported; this reads version 1"),
        (HEADER.replace(b"-history", b"-log"), "h:1: the header's format is 'payments-verify-log'"),
        (HEADER.replace(b"spec", b"model"), "h:1: not a valid header: .*unknown field `model`"),
        (HEADER + HEADER, "h:2: not a valid event"),
        (INVOKE.replace(b'"time"', b'"value"'), "h:1: .*the member 'value' stands twice in an object"),
        (HEADER.replace(b'"version"', b'"spec": "kv", "version"'), "h:1: .*the member 'spec' stands twice"),
        (INVOKE.replace(b"1,", b'{"a": {"b": 1, "b": 2}},'), "h:1: .*the member 'b' stands twice"),
        (INVOKE.replace(b"1,", b"NaN,"), "h:1: not a valid event: JSON is malformed"),
        (INVOKE.replace(b"1,", b"Infinity,"), "h:1: not a valid event: JSON is malformed"),
        (INVOKE.replace(b": 0", b": true"), "h:1: .*Expected `int`, got `bool`"),
        (INVOKE.replace(b": 0", b": 0.0"), "h:1: .*Expected `int`, got `float`"),
        (INVOKE + INVOKE, "h:2: process 0 invokes 'write' while its 'write' is still open"),
        (OK, "h:1: process 0 has no open invocation"),
        (INVOKE + OK + OK, "h:3: process 0 has no open invocation"),
        (INVOKE + OK.replace(b"write", b"read"), "h:2: process 0 invoked 'write' but this answers 'read'"),
        (INVOKE + UNKNOWN + INVOKE, "h:3: process 0 is used again after an unknown outcome"),
    ],
)
def test_says_where_and_what_was_wrong(data: bytes, message: str) -> None:
    with pytest.raises(HistoryError, match=f"^{message}"):
        parse(data, "h")


@given(st.binary(max_size=200))
@example(b"\x00")
def test_any_bytes_are_a_history_or_a_clear_error(data: bytes) -> None:
    assert_history_or_error(data)


@given(st.randoms(use_true_random=False), st.binary(min_size=1, max_size=4))
def test_a_damaged_history_is_a_history_or_a_clear_error(rng: random.Random, noise: bytes) -> None:
    data = bytearray(HEADER + INVOKE + OK + INVOKE + UNKNOWN)
    place = rng.randrange(len(data))
    data[place : place + rng.randrange(8)] = noise
    assert_history_or_error(bytes(data))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists), st.text(min_size=1))
def test_any_json_value_and_command_survives_the_format(value: Any, f: str) -> None:
    line = msgspec.json.encode({"type": "invoke", "process": 1, "f": f, "value": value})
    (operation,) = parse(line, "h").operations
    assert (operation.f, operation.value) == (f, value)


def assert_history_or_error(data: bytes) -> None:
    try:
        operations = parse(data, "the-file").operations
    except HistoryError as error:
        message = str(error)
    else:
        message = "the-file: read"
        positions = [operation.called for operation in operations]
        assert positions == sorted(set(positions))
    assert message.startswith("the-file:")


@pytest.mark.parametrize(
    ("outcome", "called", "returned"),
    [(Outcome.OK, 0, None), (Outcome.UNKNOWN, 0, 1), (Outcome.OK, 1, 1), (Outcome.FAIL, 2, 1)],
)
def test_an_operation_that_cannot_be_is_refused(outcome: Outcome, called: int, returned: int | None) -> None:
    with pytest.raises(HistoryError):
        Operation(0, "read", None, outcome, None, called, returned)
