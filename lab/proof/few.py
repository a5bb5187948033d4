"""The protocol, run: a few clients, and every state and step of theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import SimpleNamespace
from typing import TypeAlias

from lab.proof.logic import Map, Term
from lab.proof.protocol import Action, Protocol
from lab.proof.vocabulary import PARTS, WORDS, Options, Row, State, Vocabulary

Frozen: TypeAlias = tuple[Term, ...]
"""A state as values that can be compared and kept in a set."""


class BudgetError(RuntimeError):
    """There are more states than were allowed."""


@dataclass(frozen=True)
class Client:
    """What one client does.

    Attributes:
        does: what.
        key: under which key.
        amount: of which amount.
        to: where it moves the clock.
        of: to which payment.
    """

    does: str
    key: str = ""
    amount: int = 0
    to: int = 0
    of: int = 0


@dataclass(frozen=True)
class Race:
    """A few clients, and the payments when they begin.

    Attributes:
        clients: who races.
        prepared: the row of each payment; what is left out does not exist.
        window: how long a window is, in instants.
        begins: the instant at which the race begins.
        faults: how often something may go wrong.
        constraints: whether the schema has its constraints.
    """

    clients: Sequence[Client]
    prepared: Mapping[int, Row] = field(default_factory=dict)
    window: int = 2
    begins: int = 0
    faults: int = 0
    constraints: bool = True


class Values(Vocabulary):
    """Python's values, for one race."""

    def __init__(self, race: Race) -> None:
        clients = race.clients
        for name, words in WORDS.items():
            setattr(self, name, SimpleNamespace(**{word: word for word in words}))
        self.fixed = SimpleNamespace(
            **{
                name: (lambda p, name=name: getattr(clients[p], name))
                for name in ("does", "of", "key", "amount", "to")
            }
        )
        self.zero, self.nothing = 0, 0
        self.constraints = race.constraints
        self.members: Mapping[str, Sequence[Term]] = {
            "client": range(len(clients)),
            "payment": sorted({each.of for each in clients}),
            "key": sorted({each.key for each in clients}),
        }

    def before(self, one: Term, other: Term) -> Term:
        """Whether an instant comes before another."""
        return one < other

    def some(self, sort: str, condition: Callable[[Term], Term]) -> Term:
        """Whether the condition holds of one of them."""
        return any(condition(each) for each in self.members[sort])


def initial(protocol: Protocol, race: Race) -> State:
    """The state in which a race begins."""
    w = protocol.words
    assert isinstance(w, Values)
    zeros: Mapping[str, Callable[..., Term]] = {
        "row": lambda payment: race.prepared.get(payment, w.no_row),
        "under": lambda *_: w.no_attempt,
        "at": protocol.first_place,
        "saw": lambda _: w.no_row,
        "found": lambda _: w.no_attempt,
        "wrote_row": lambda _: w.no_row,
        "wrote": lambda _: w.no_attempt,
        "answer": lambda _: w.no_answer,
        **{name: lambda _: False for name in ("waits", "holds", "broken")},
        **{name: lambda _: w.zero for name in ("begun", "clock", "granted")},
    }
    zeros = {**zeros, "kept_row": zeros["row"], "kept_under": zeros["under"]}
    maps = {
        name: Map(zeros[name], list(product(*(w.members[each] for each in arguments))))
        for name, (arguments, _) in PARTS.items()
    }
    return State(now=race.begins, **maps)


def frozen(state: State) -> Frozen:
    """The values of a state."""
    return (state.now, *(getattr(state, name).values() for name in PARTS))


@dataclass
class Graph:
    """The states that a race can reach, and its steps.

    Attributes:
        start: where it begins.
        edges: the state before, what was done by whom, and the state after; with the faults that are left.
    """

    start: tuple[Frozen, int]
    states: dict[tuple[Frozen, int], State]
    edges: set[tuple[tuple[Frozen, int], str, tuple[Frozen, int]]]


FaultNames: TypeAlias = Sequence[str]


def explore(race: Race, options: Options, faults: FaultNames, limit: int = 200_000) -> Graph:
    """Every state and every step, breadth first.

    Args:
        race: who races.
        options: the protocol.
        faults: which faults there are.
        limit: how many states there may be.

    Raises:
        BudgetError: there are more.
    """
    protocol = Protocol(Values(race), options)
    begin = initial(protocol, race)
    start = (frozen(begin), race.faults)
    graph = Graph(start, {start: begin}, set())
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        for name, after, left in steps(protocol, race, graph.states[here], here[1], faults):
            there = (frozen(after), left)
            graph.edges.add((here, name, there))
            if there not in graph.states:
                if len(graph.states) >= limit:
                    raise BudgetError(f"more than {limit:,} states")
                graph.states[there] = after
                waiting.append(there)
    return graph


def steps(
    protocol: Protocol, race: Race, state: State, faults_left: int, faults: FaultNames
) -> Iterator[tuple[str, State, int]]:
    """What can happen in a state: what it is called, the state after it, and the faults that are left."""
    breaking = {name: each for name, each in protocol.faults().items() if name in faults}
    for p in range(len(race.clients)):
        end = state.clock(p) + race.window
        for name, action in protocol.statements().items():
            yield from _taken(f"{p}: {name}", action, state, p, end, faults_left)
        for name, action in breaking.items() if faults_left else ():
            yield from _taken(f"{p}: {name}", action, state, p, end, faults_left - 1)


def _taken(
    name: str, action: Action, state: State, p: int, end: int, left: int
) -> Iterator[tuple[str, State, int]]:
    step = action(state, p, end)
    if step.guard:
        yield name, step.after, left
