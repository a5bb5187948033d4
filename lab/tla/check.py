"""TLC on a model: what it finds must be what was expected, to the last state."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from lab.tla.models import Model, counts
from lab.tla.output import Found
from lab.tla.tlc import Tlc
from lab.tla.values import Function, Value, write_value
from payments_verify.result import CheckResult
from pgweave.verdict import Verdict

_JUDGE = """\
If the specification was changed on purpose, check that each difference follows from that change, and write
the new numbers into specs/tla/models.toml. If not, the change that caused it is a mistake."""


def check_model(tlc: Tlc, model: Model) -> CheckResult:
    """Check a model, and compare what TLC finds with what the table says.

    Returns:
        ``holds`` if exactly the expected is found: every property, or the expected violation, and the exact
        counts; the cases are the distinct states. ``no verdict`` if TLC came to no verdict.

    Raises:
        TlcError: TLC could not be run.
    """
    started = time.perf_counter()
    found = tlc.run(
        tlc.specification / f"{model.module}.tla",
        tlc.specification / model.configuration,
        deadlocks=model.deadlocks,
    )
    verdict, counterexample = judged(model, found)
    return CheckResult(
        name=f"TLA+: {model.name}",
        kind="tla",
        cases=found.states,
        verdict=verdict,
        seconds=time.perf_counter() - started,
        details={"generated": found.generated, "depth": found.depth, "violated": found.violated},
        counterexample=counterexample,
    )


def judged(model: Model, found: Found) -> tuple[Verdict, str | None]:
    """What it means that TLC has found this in a model, and what is wrong, if anything is."""
    if found.error is not None:
        return "no verdict", found.error
    if (found.violated or "") != model.violates:
        if found.violated is None:
            return "violated", f"expected: a violation of {model.violates}; found: everything holds"
        return "violated", f"{found.violated}\n\n{described(found)}"
    counted = {"states": found.states, "generated": found.generated, "depth": found.depth}
    differing = [
        f"counts: {name}: expected {expected:,}, found {counted[name]:,}"
        for name, expected in counts(model).items()
        if counted[name] != expected
    ]
    if differing:
        return "violated", "\n".join([*differing, _JUDGE])
    return "holds", None


def described(found: Found) -> str:
    """A counterexample for people: each step, and what it changed."""
    lines: list[str] = []
    before: Mapping[str, Value] = {}
    for number, state in enumerate(found.trace):
        lines.append(f"{number}. {state.action}")
        for name, value in sorted(state.variables.items()):
            lines += [f"     {change}" for change in _changes(name, before.get(name), value)]
        before = state.variables
    return "\n".join(lines)


def _changes(path: str, before: Value, after: Value) -> Iterator[str]:
    """What is different in a value, part by part where it still has the same parts."""
    if before == after:
        return
    by_process = isinstance(after, Function) and not all(isinstance(key, str) for key in after)
    if by_process or (
        isinstance(after, Function) and isinstance(before, Function) and after.keys() == before.keys()
    ):
        for key, value in after.items():
            part = f"{path}.{key}" if isinstance(key, str) else f"{path}[{write_value(key)}]"
            yield from _changes(part, None if before is None else before[key], value)
    else:
        yield f"{path} = {write_value(after)}"
