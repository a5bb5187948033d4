"""Values of TLA+, as TLC prints them and as a module has them."""

from __future__ import annotations

import pytest

from lab.tla.values import Function, ValueSyntaxError, parse, unquoted, write_value

VALUES = {
    "TRUE": True,
    "-3": -3,
    '"a \\"word\\""': 'a "word"',
    "<<>>": (),
    "<<1, <<2>>>>": (1, (2,)),
    "{}": frozenset(),
    "{1, 2}": frozenset({1, 2}),
    '[state |-> "none"]': Function(state="none"),
    "(0 :> <<>> @@ 1 :> <<TRUE>>)": Function({0: (), 1: (True,)}),
    "{[a |-> 1], [a |-> 2]}": frozenset({Function(a=1), Function(a=2)}),
    '( 0 :>\n      [ row |-> [state |-> "none"],\n        clock |-> 0 ] )': Function(
        {0: Function(row=Function(state="none"), clock=0)}
    ),
    "model_value": "model_value",
}


@pytest.mark.parametrize("text", VALUES)
def test_a_value_is_read(text: str) -> None:
    assert parse(text) == VALUES[text]


@pytest.mark.parametrize(
    "text", ["", "<<1", "[a |-> 1", "[a 1]", "(0 :> 1", "1 2", "{1; 2}", "<<1 2>>", "@@"]
)
def test_what_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse(text)


@pytest.mark.parametrize(
    "value", [True, 7, 'a "word" \\', (1, ("b",)), frozenset({1, 2}), Function(a=1, b=Function(c=()))]
)
def test_what_is_written_is_read_again(value: object) -> None:
    assert parse(write_value(value)) == value


def test_what_has_no_words_is_refused() -> None:
    with pytest.raises(TypeError, match=r"1\.5"):
        write_value(1.5)


def test_a_printed_string_is_unquoted() -> None:
    assert unquoted('"<<\\"a\\", 1>>"') == '<<"a", 1>>'
