"""What TLC says, understood; every text here is one that it has said."""

from __future__ import annotations

from lab.tla.output import Found, Listener
from lab.tla.values import Function


def heard(text: str) -> Found:
    listener = Listener()
    for line in text.splitlines():
        listener.take(line)
    return listener.found()


def message(code: int, text: str, kind: int = 0) -> str:
    return f"@!@!@STARTMSG {code}:{kind} @!@!@\n{text}\n@!@!@ENDMSG {code} @!@!@\n"


COUNTED = message(2199, "154630 states generated, 8,949 distinct states found, 0 states left on queue.")
DEPTH = message(2194, "The depth of the complete state graph search is 8.")


def test_a_model_that_holds() -> None:
    found = heard(message(2193, "Model checking completed. No error has been found.") + COUNTED + DEPTH)
    assert found == Found(states=8_949, generated=154_630, depth=8)


def test_a_violation_with_its_trace() -> None:
    text = message(2110, "Invariant I1 is violated.", 1)
    text += message(2121, "The behavior up to this point is:", 1)
    text += message(2217, '1: <Initial predicate>\n/\\ at = (0 :> "begin")\n/\\ queue = <<>>\n', 4)
    text += message(
        2217, "2: <Begin line 1, col 5 to line 2, col 6 of module Capture>\n/\\ queue = <<0>>\n", 4
    )
    found = heard(text + COUNTED)
    assert (found.violated, found.error) == ("I1", None)
    assert [state.action for state in found.trace] == ["Initial", "Begin"]
    assert found.trace[0].variables == {"at": Function({0: "begin"}), "queue": ()}
    assert found.trace[1].variables == {"queue": (0,)}


def test_what_else_is_violated() -> None:
    assert heard(message(2112, "Action property I3 is violated.", 1)).violated == "I3"
    assert heard(message(2114, "Deadlock reached.", 1)).violated == "deadlock"
    assert (
        heard(message(2116, "Temporal properties were violated.", 1)).violated
        == "a temporal property is violated"
    )


def test_a_module_that_cannot_be_read() -> None:
    parser = 'Parsing file /tmp/Payments.tla\n***Parse Error***\nEncountered "=" at line 40\n'
    found = heard(parser + message(3002, "Parsing or semantic analysis failed.", 1))
    assert (
        found.error == 'Parsing or semantic analysis failed.\n***Parse Error***\nEncountered "=" at line 40'
    )


def test_an_end_without_a_word() -> None:
    assert heard("").error == "TLC ended without a verdict"


def test_what_the_specification_prints_is_handed_on() -> None:
    listener = Listener()
    assert listener.take('"<<1, 2>>"') == '"<<1, 2>>"'
    assert listener.take("Progress") is None
