"""A secret is found in whatever form it is written, and what is no secret stays as it is."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgweave.redaction import redacted, redacted_json, redacted_value, too_short

WAYS: list[Callable[[str], str]] = [
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    html.escape,
    lambda text: quote(text, safe=""),
    quote,
    quote_plus,
    shlex.quote,
    repr,
]
_SIGNS = st.text("aZ09-_.~!$&'()*+,;=:@/?#[]%<>\\\" é", min_size=4, max_size=9)


@given(_SIGNS, st.lists(st.sampled_from(WAYS), max_size=2))
def test_it_is_found_however_it_is_written(secret: str, ways: list[Callable[[str], str]]) -> None:
    written = f"secret: {secret} end"
    for way in ways:
        written = way(written)
    shown = redacted(written, {secret: "NAME"})
    assert "${NAME}" in shown


@given(st.recursive(st.text() | st.integers(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)))
def test_json_stays_json(value: object) -> None:
    text = json.dumps({"of": value, "said": 'so: s3cr"t'})
    shown = json.loads(redacted_json(text, {'s3cr"t': "NAME", "1000": "PIN"}))
    assert shown["said"] == "so: ${NAME}"
    assert redacted_value({"said": 's3cr"t'}, {'s3cr"t': "NAME"}) == {"said": "${NAME}"}


def test_a_number_is_no_text() -> None:
    text = '{"amount": 5000, "pin": "5000", "at": "150001"}'
    assert redacted_json(text, {"5000": "PIN"}) == '{"amount": 5000, "pin": "${PIN}", "at": "150001"}'


def test_the_longest_is_left_out_first() -> None:
    assert redacted("a token1234 b", {"token": "PART", "token1234": "WHOLE"}) == "a ${WHOLE} b"


@pytest.mark.parametrize("value", ["", "abc", "true", "None"])
def test_what_is_everywhere_stays(value: str) -> None:
    assert redacted(f"x {value} y", {value: "NAME"}) == f"x {value} y"
    assert too_short({value: "NAME"}) == (["NAME"] if value else [])
