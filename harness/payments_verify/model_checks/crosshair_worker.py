"""The child process that runs CrossHair on one target, and writes each finding as a line of JSON.

``check FUNCTION SECONDS INDEX...`` analyses single postconditions of a function, by their place in
``__postconditions__``; ``compare FUNCTION1 FUNCTION2 SECONDS`` looks for a difference between two functions.

It uses CrossHair's functions rather than its command line: that reports nothing before the last condition of
a function is done, cannot be asked for one condition, and calls two functions the same when one of the two
orders in which it compares them was exhausted.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from crosshair.auditwall import engage_auditwall
from crosshair.core import ConditionCheckable
from crosshair.core_and_libs import MessageType, analyze_function
from crosshair.diff_behavior import diff_behavior
from crosshair.fnutil import FunctionInfo, load_by_qualname
from crosshair.options import DEFAULT_OPTIONS, AnalysisKind, AnalysisOptionSet
from crosshair.pure_importer import prefer_pure_python_imports
from crosshair.util import ErrorDuringImport

PATH_SECONDS = 30.0
"""CPU time for one path when two functions are compared; the default of CrossHair's own command."""

INFORMATION = (MessageType.CONFIRMED, MessageType.CANNOT_CONFIRM, MessageType.PRE_UNSAT)
"""What CrossHair reports when it has found no counterexample."""


def check(function: str, seconds: float, indices: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Analyse the postconditions of ``function`` at ``indices``, each for at most ``seconds`` of CPU time.

    Raises:
        IndexError: if CrossHair sees no postcondition at one of the places.
        TypeError: if it cannot read what it sees.
    """
    options = AnalysisOptionSet(analysis_kind=[AnalysisKind.icontract], per_condition_timeout=seconds)
    with prefer_pure_python_imports():
        checkables = analyze_function(load_by_qualname(function), options)
    for index in indices:
        checkable = checkables[index]
        if not isinstance(checkable, ConditionCheckable):
            raise TypeError(f"CrossHair cannot read condition {index} of {function}: {checkable}")
        started = time.perf_counter()
        messages = list(checkable.analyze())
        yield {
            "index": index,
            "line": checkable.conditions.post[0].line,
            "confirmed": [message.state for message in messages] == [MessageType.CONFIRMED],
            "refuted": any(message.state not in INFORMATION for message in messages),
            "message": "; ".join(message.message for message in messages),
            "seconds": time.perf_counter() - started,
        }


def compare(first: str, second: str, seconds: float) -> dict[str, Any]:
    """Look for arguments to which the two functions answer differently, for ``seconds`` of CPU time.

    Both orders are explored; ``exhausted`` says that both came to an end. An order ends also when a path
    could not be decided, so an end alone is no proof that the functions are the same.

    Raises:
        TypeError: if CrossHair cannot compare the two.
    """
    options = DEFAULT_OPTIONS.overlay(
        AnalysisOptionSet(per_path_timeout=PATH_SECONDS, per_condition_timeout=seconds)
    )
    options.stats = Counter()
    unsteady: list[None] = []
    with prefer_pure_python_imports():
        functions = _function(first), _function(second)
    found = diff_behavior(
        functions[0], functions[1], options, on_nondeterminism=lambda: unsteady.append(None)
    )
    if isinstance(found, str):
        raise TypeError(f"CrossHair cannot compare {first} with {second}: {found}")
    return {
        "paths": options.stats["num_paths"],
        "exhausted": options.stats["exhaustion"] == 2 and not unsteady,
        "differences": [
            {
                "arguments": diff.args,
                "first": diff.result1.describe(set()),
                "second": diff.result2.describe(set()),
            }
            for diff in found
        ],
    }


def _function(name: str) -> FunctionInfo:
    found = load_by_qualname(name)
    if not isinstance(found, FunctionInfo):
        raise TypeError(f"{name} is not a function")
    return found


def main(arguments: Sequence[str]) -> None:
    """Run what the arguments ask for."""
    engage_auditwall()
    match arguments:
        case ["check", function, seconds, *indices]:
            for finding in check(function, float(seconds), [int(index) for index in indices]):
                sys.stdout.write(json.dumps(finding) + "\n")
                sys.stdout.flush()
        case ["compare", first, second, seconds]:
            sys.stdout.write(json.dumps(compare(first, second, float(seconds))) + "\n")
        case _:
            sys.exit(f"unknown arguments: {arguments}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BrokenPipeError:
        pass
    except ErrorDuringImport as error:
        sys.exit(f"cannot import it: {type(error.__cause__).__name__}: {error.__cause__}")
