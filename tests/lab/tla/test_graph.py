"""The state graphs of the specification and of the Python model are the same; break one, and they are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab.tla.graph import (
    Graph,
    GraphError,
    PrintedGraph,
    check_graph,
    differences,
    model_graph,
)
from lab.tla.tlc import Tlc
from payments_model import Authorized, Capture, Command, Fail, Outcome, Record, Step, apply
from payments_verify.model_checks.state_graph_bounds import EXPECTED, Bounds
from tests.support.tla import Change, changed, tlc

MODULE = "PaymentsGraph"
# Small bounds: one key, and one window.
SMALL = (
    ('    Keys = {"a", "b"}\n', '    Keys = {"a"}\n'),
    ("    Windows = {0, 1, 2}\n", "    Windows = {1}\n"),
)


def printed(specification: Path) -> Graph:
    """The graph that TLC prints of a specification, within small bounds."""
    configuration = specification / f"{MODULE}.cfg"
    text = configuration.read_text()
    for bound, small in SMALL:
        assert text.count(bound) == 1
        text = text.replace(bound, small)
    configuration.write_text(text)
    graph = PrintedGraph()
    runner: Tlc = tlc(specification)
    found = runner.run(specification / f"{MODULE}.tla", configuration, deadlocks=False, on_printed=graph.take)
    assert found.error is None, found.error
    return graph.edges


def small_model(apply_command: Callable[..., tuple[Record, Step]] = apply) -> Graph:
    return model_graph(apply_command, Bounds(keys=("a",), windows=(1,)))


@pytest.fixture(scope="module")
def specified(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return printed(changed(tmp_path_factory.mktemp("small")))


def test_the_graphs_are_the_same(specified: Graph) -> None:
    assert not list(differences(small_model(), specified))


@pytest.mark.long
def test_the_python_graph_is_the_one_that_is_explored() -> None:
    graph = model_graph()
    assert (len(graph), sum(map(len, graph.values()))) == (EXPECTED.states, EXPECTED.transitions)


@pytest.mark.long
def test_the_graphs_are_the_same_within_the_bounds_of_the_exploration() -> None:
    result = check_graph(tlc())
    assert result.verdict == "holds", result.counterexample
    assert (result.details["states"], result.cases) == (EXPECTED.states, EXPECTED.transitions)


BROKEN_SPECIFICATIONS = {
    "the end of the window counts as inside": Change(
        "Rules", "t < payment.capture_expires_at", "t <= payment.capture_expires_at"
    ),
    "the amount comes before the window": Change(
        "Rules",
        '    ELSE IF ~WindowOpen(payment, t) THEN "window_expired"\n'
        '    ELSE IF amount # payment.amount THEN "amount_mismatch"\n',
        '    ELSE IF amount # payment.amount THEN "amount_mismatch"\n'
        '    ELSE IF ~WindowOpen(payment, t) THEN "window_expired"\n',
    ),
    "another reason": Change(
        "Rules", 'Step(Failed(payment, "expired", t)', 'Step(Failed(payment, "voided", t)'
    ),
    "a command is left out": Change("Payments", "\\/ AskFail ", ""),
    "time stands still": Change("Payments", "now' = now + 1", "now' = now"),
}


_QUICK = ("the end of the window counts as inside", "a command is left out")


@pytest.mark.parametrize(
    "bug",
    [bug if bug in _QUICK else pytest.param(bug, marks=pytest.mark.long) for bug in BROKEN_SPECIFICATIONS],
)
def test_a_broken_specification_differs(bug: str, tmp_path: Path) -> None:
    broken = printed(changed(tmp_path, BROKEN_SPECIFICATIONS[bug]))
    assert list(differences(small_model(), broken))


def late(record: Record, command: Command, now: int, key: str | None = None) -> tuple[Record, Step]:
    """Captures at the window's end too."""
    inside = isinstance(record.payment, Authorized) and isinstance(command, Capture)
    return apply(record, command, now - inside, key)


def silent(record: Record, command: Command, now: int, key: str | None = None) -> tuple[Record, Step]:
    """Calls every failure malformed, and carries it out."""
    after, done = apply(record, command, now, key)
    if isinstance(command, Fail):
        done = Step(done.payment, done.attempt, Outcome.MALFORMED)
    return after, done


def forgetful(record: Record, command: Command, now: int, key: str | None = None) -> tuple[Record, Step]:
    """Keeps no refusal."""
    after, done = apply(record, command, now, key)
    if isinstance(command, Capture) and done.outcome is Outcome.AMOUNT_MISMATCH:
        after = record
    return after, done


@pytest.mark.parametrize("broken", [late, silent, forgetful])
def test_a_broken_model_differs(broken: Callable[..., tuple[Record, Step]], specified: Graph) -> None:
    (first, *_) = differences(small_model(broken), specified)
    assert "the model" in first


def test_two_answers_to_one_command_are_no_graph() -> None:
    graph = PrintedGraph()
    state = '<<[state |-> \\"none\\"], [a |-> [outcome |-> \\"none\\"]], 0>>'
    edge = '"{0} -> [command |-> [f |-> \\"read\\"], outcome |-> \\"{1}\\", replayed |-> FALSE] -> {0}"'
    graph.take(edge.format(state, "not_found"))
    with pytest.raises(GraphError, match="two answers"):
        graph.take(edge.format(state, "read"))


@pytest.mark.parametrize("line", ['"<<1>>"', '"a -> b"'])
def test_what_is_no_edge_is_refused(line: str) -> None:
    with pytest.raises(GraphError, match="no edge"):
        PrintedGraph().take(line)
