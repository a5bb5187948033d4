"""A race as Python source: a test that runs it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from payments_verify.payments.observed.observations import Observation
from payments_verify.payments.races.preparation import Before, Wait
from payments_verify.payments.scenarios.catalogue import Actor, Client, Command, Holder, Sweeper, Tick
from pgweave.interleavings.execution import Execution, Step
from pgweave.scheduler import ScheduledOperation
from pgweave.timeline.gist import gist
from pgweave.visible import clipped, one_line

_WIDTH = 90
"""Columns for an expression and its comment, beside indentation."""
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK")
_TEMPLATE = """\
{imports}
from payments_verify.systems import gated_service


def test_race() -> None:
    check_race(
        gated_service,
        before=[
{before}
        ],
        actors=[
{actors}
        ],
        schedule=[
{schedule}
        ],
    )
"""


def source_of_test(before: Sequence[Before], actors: Sequence[Actor], execution: Execution) -> str:
    """A test, complete with its imports, that runs a race again.

    Args:
        before: what comes before the race.
        actors: who races.
        execution: the run to repeat.
    """
    names = sorted({"check_race", *(name for each in (*before, *actors) for name in _calls(each))})
    then = zip(actors, _answers(actors, execution), strict=True)
    return _TEMPLATE.format(
        imports="\n".join(_broken("from payments_verify.payments.races.runner import ", names)),
        before=_lines(f"{source_of(each)}," for each in before),
        actors=_lines(line for actor, answer in then for line in _actor(actor, answer)),
        schedule=_lines(_schedule(execution)),
    )


def _actor(actor: Actor, answer: str) -> Iterator[str]:
    line = f"{source_of(actor)},"
    if isinstance(actor, Client) and len(line) > _WIDTH:
        yield _noted("client(", answer)
        yield from (f"    {source_of(command)}," for command in actor.commands)
        yield "),"
    else:
        yield _noted(line, answer)


def _calls(each: Before | Actor) -> Iterator[str]:
    """The functions that are called to make a command or an actor."""
    match each:
        case Wait():
            yield "wait"
        case Command():
            yield each.f
        case Client():
            yield "client"
            yield from (command.f for command in each.commands)
        case Tick():
            yield "tick"
        case Sweeper():
            yield "sweep"


def _broken(statement: str, names: Sequence[str]) -> Iterator[str]:
    """An import, on several lines if it is long."""
    line = f"{statement}{', '.join(names)}"
    if len(line) <= _WIDTH:
        yield line
    else:
        yield f"{statement}("
        yield from (f"    {name}," for name in names)
        yield ")"


def source_of(each: Before | Actor) -> str:
    """The expression that makes a command or an actor.

    Raises:
        TypeError: if there is none: for a session outside the service.
    """
    match each:
        case Wait():
            return f"wait({each.us:_})"
        case Command():
            return _call(each.f, [*each.arguments.values()], payment=each.payment, instance=each.instance)
        case Client():
            return f"client({', '.join(map(source_of, each.commands))})"
        case Tick():
            return _call("tick", [each.offset] if each.offset else [], payment=each.payment)
        case Sweeper():
            return "sweep()"
        case Holder():
            raise TypeError(f"a race that is printed has no part for one like this: {each.name}")


def _call(name: str, arguments: Sequence[object], **numbers: int) -> str:
    shown = [_literal(argument) for argument in arguments]
    shown += [f"{of}={number}" for of, number in numbers.items() if number]
    return f"{name}({', '.join(shown)})"


def _literal(value: object) -> str:
    if isinstance(value, int):
        return f"{value:_}"
    quoted = repr(value)
    return quoted if '"' in quoted else f'"{quoted[1:-1]}"'


def _answers(actors: Sequence[Actor], execution: Execution) -> Iterator[str]:
    """What each client was answered."""
    operations: Sequence[ScheduledOperation] = execution.result.operations
    for number, actor in enumerate(actors):
        if isinstance(actor, Client):
            yield ", ".join(answer_of(each) for each in operations if each.process == number)
        else:
            yield ""


def answer_of(operation: ScheduledOperation) -> str:
    """The answer to an operation of a race, in a word or two."""
    seen: Observation | None = operation.result
    if seen is None or seen.kind == "unknown":
        status = None if seen is None else seen.value.get("status")
        return "no answer" if status is None else f"status {status}"
    return str(seen.value.get("outcome", "ok")) + (" (replayed)" if seen.value.get("replayed") else "")


def _schedule(execution: Execution) -> Iterator[str]:
    """A line for each actor that goes on for some steps, with what they are."""
    for process, steps in groupby(execution.steps, key=lambda step: step.process):
        taken = list(steps)
        yield _noted(f"*[{process}] * {len(taken)},", "; ".join(map(_told, taken)))


def _told(step: Step) -> str:
    text = gist(step.label).text if "connection" in step.details else step.label
    first = text.partition(" ")[0]
    error = step.details.get("error")
    return (
        (first if first in _CONTROL else text)
        + (" (waits)" if step.blocked else "")
        + (f" ({error})" if error else "")
    )


def _noted(code: str, note: str) -> str:
    """A line with a comment, which is cut if it is too long."""
    return f"{code}  # {clipped(one_line(note), _WIDTH - len(code))}" if note else code


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(f"            {text}" for text in texts)
