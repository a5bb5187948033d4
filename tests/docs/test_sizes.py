"""The rule of CONTRIBUTING.md on sizes is held: files stay under 300 lines, functions under 50."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lab.pages.code_map import ROOTS
from tests.docs.pages import ROOT

FILE, FUNCTION = 300, 50
Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_large(text: str) -> Iterator[str]:
    """What is too large in a file. A function's lines are those behind its arguments and its docstring."""
    lines = text.count("\n")
    if lines > FILE:
        yield f"{lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > FUNCTION:
                yield f"{node.name}: {length} lines"


def test_files_and_functions_are_short() -> None:
    files = [file for place in ROOTS for file in sorted((ROOT / place).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)): [*too_large(file.read_text(encoding="utf-8"))] for file in files}
    assert len(found) > 100
    assert {file: said for file, said in found.items() if said} == {}


def test_what_is_too_large_is_named() -> None:
    long = "def long(\n    a: int,\n) -> None:\n" + "    a = 1\n" * 51
    assert list(too_large(long)) == ["long: 51 lines"]
    assert list(too_large(long.replace("    a = 1\n", "", 1))) == []
    documented = long.replace("    a = 1\n", '    """One.\n\n    Two.\n    """\n', 1)
    assert list(too_large(documented)) == []
    assert list(too_large("a = 1\n" * 301)) == ["301 lines"]
