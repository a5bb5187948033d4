"""The host's clock in the source of what decides: it may time and wait, and not decide (I5)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from lab.static_checks.findings import Findings

_CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}


def check_sources(files: list[Path]) -> Findings:
    """Look for calls of the host's clock.

    Args:
        files: the Python files of the layers that decide and store.
    """
    problems = [
        f"I5: the host's clock is asked: {file.name}, line {line}: {call}()"
        for file in files
        for line, call in _calls(ast.parse(file.read_text(encoding="utf-8")))
    ]
    return Findings(len(files), problems)


def _calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    imported = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Attribute) and (_last(called.value), called.attr) in _CLOCKS:
            yield node.lineno, f"{_last(called.value)}.{called.attr}"
        elif isinstance(called, ast.Name) and imported.get(called.id) in _CLOCKS:
            yield node.lineno, called.id


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
