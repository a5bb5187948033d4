"""What the pages are made from: found where it stands, and kept in no list of its own."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from lab.proof.invariant import CONJUNCTS, STEP_PROPERTIES
from payments_model import record
from payments_verify.model_checks import state_graph_rules
from payments_verify.model_checks.contracts import MODEL, Condition, discover
from payments_verify.payments.scenarios.named import NAMED
from payments_verify.systems.problems import ProblemType, problem_types
from payments_verify.systems.schema import Schema, read_schema

SPECIFICATION = "specs/specification.md"
_HEADING = re.compile(r"^### (I\d+)\. (.+)$", re.MULTILINE)
_IDS = re.compile(r"^((?:I\d+, )*I\d+): ")
_MARK = "invariant"


class SourcesError(ValueError):
    """Something that the pages are made from is missing or malformed; the message says what and where."""


@dataclass(frozen=True)
class Sources:
    """What the pages are made from. Evidence is by the invariant's id, as in ``"I1"``.

    Attributes:
        invariants: what each says, in the order of the specification.
        contracts: the postconditions of the model.
        rules: the functions of the exploration that speak of an invariant.
        conjuncts: parts of the inductive invariant, and properties of every step, that are proved for any
            number of clients.
        scenarios: races in which a service that breaks it is caught.
        tests: those that are marked with it, as ``path::name``.
        mutants: broken copies of the service that break it.
        excuses: why there is nothing, by id and kind of evidence.
        schema: the database's tables, and what guards them.
        problems: the problem types.
    """

    invariants: Mapping[str, str]
    contracts: Sequence[Condition]
    rules: Mapping[str, Sequence[str]]
    conjuncts: Mapping[str, Sequence[str]]
    scenarios: Mapping[str, Sequence[str]]
    tests: Mapping[str, Sequence[str]]
    mutants: Mapping[str, Sequence[str]]
    excuses: Mapping[str, Mapping[str, str]]
    schema: Schema
    problems: Sequence[ProblemType]

    @classmethod
    def read(cls, root: Path, bin_dir: Path | None = None) -> Sources:
        """Find everything.

        Args:
            root: a checkout of the project.
            bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.

        Raises:
            SourcesError: a file is missing, or one cannot be understood.
            EmbeddedPostgresError: the schema could not be read: no server can be started.
        """
        page = root / SPECIFICATION
        if not page.is_file():
            raise SourcesError(f"{page} is not there: run this in a checkout of the project, or give --root")
        return cls(
            invariants=dict(_HEADING.findall(page.read_text(encoding="utf-8"))),
            contracts=discover(MODEL),
            rules=_by_id((ids, name) for module in _RULES for ids, name in _rules(module)),
            conjuncts=_by_id(_proved()),
            scenarios=_by_id((each.invariants, each.name) for each in NAMED.values()),
            tests=_by_id(_marked_tests(root)),
            mutants=_by_id(_mutants(root / "lab" / "mutants" / "bugs")),
            excuses=_toml(root / "specs" / "traceability.toml"),
            schema=read_schema(bin_dir),
            problems=problem_types(),
        )

    @property
    def constraints(self) -> Mapping[str, Sequence[str]]:
        """What of the database refuses to break an invariant, by the comments on it."""
        return _by_id((ids_of(guard.comment), guard.name) for guard in self.schema.guards)


_RULES = (state_graph_rules, record)


def ids_of(text: str) -> tuple[str, ...]:
    """The ids that a text begins with, as in ``"I1, I3: why"``; none if it begins otherwise."""
    found = _IDS.match(text)
    return tuple(found[1].split(", ")) if found else ()


def _by_id(pairs: Iterator[tuple[Sequence[str], str]]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for ids, name in pairs:
        for each in ids:
            if name not in found.setdefault(each, []):
                found[each].append(name)
    return found


def _proved() -> Iterator[tuple[Sequence[str], str]]:
    yield from ((each.invariants, each.name) for each in CONJUNCTS)
    yield from ((each.invariants, each.name) for each in STEP_PROPERTIES)


def _rules(module: ModuleType) -> Iterator[tuple[Sequence[str], str]]:
    """The functions of a module with a text that begins with ids, as `broken_rules` returns them."""
    for function in ast.parse(inspect.getsource(module)).body:
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                text = node.value if isinstance(node, ast.Constant) else None
                is_said = isinstance(text, str) and node is not _docstring(function)
                if is_said and (ids := ids_of(str(text))):
                    yield ids, function.name.lstrip("_")


def _docstring(function: ast.FunctionDef) -> ast.expr | None:
    first = function.body[0]
    return first.value if isinstance(first, ast.Expr) else None


def _marked_tests(root: Path) -> Iterator[tuple[Sequence[str], str]]:
    """The tests with ``@pytest.mark.invariant("I1", ...)``, found without importing them."""
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == f"pytest.mark.{_MARK}":
                        where = f"{path.relative_to(root).as_posix()}::{node.name}"
                        yield [str(ast.literal_eval(each)) for each in mark.args], where


def _mutants(folder: Path) -> Iterator[tuple[Sequence[str], str]]:
    for path in sorted(folder.glob("*.toml")):
        mutant = _toml(path)
        try:
            yield [str(each) for each in mutant["breaks"]], str(mutant["name"])
        except KeyError as missing:
            raise SourcesError(f"{path} has no {missing}") from None


def _toml(path: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SourcesError(f"{path}: {error}") from None
