"""Calls in the sources: of the host's clock by what decides (I5), and such as stop a whole process (I9)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeAlias

from lab.static_checks.findings import Findings

_Call: TypeAlias = tuple[str, str]
"""The module or class, and the name that is called."""
_CLOCKS: Collection[_Call] = {
    ("time", "time"),
    ("time", "time_ns"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
}
_BLOCKING: Collection[_Call] = {
    ("time", "sleep"),
    *(("subprocess", name) for name in ("run", "call", "check_call", "check_output", "Popen")),
    *(("os", name) for name in ("system", "popen", "wait", "waitpid", "fsync", "fdatasync")),
    *(
        ("socket", name)
        for name in ("create_connection", "getaddrinfo", "gethostbyname", "gethostbyaddr", "getfqdn")
    ),
    *(
        (library, name)
        for library in ("requests", "httpx")
        for name in ("get", "post", "put", "request", "Session", "Client")
    ),
    ("request", "urlopen"),
    ("urllib.request", "urlopen"),
    ("psycopg", "connect"),
    ("Connection", "connect"),
    ("psycopg_pool", "ConnectionPool"),
    *(("hashlib", name) for name in ("scrypt", "pbkdf2_hmac")),  # made to take long
}
_NOT_IN_THE_LOOP: Collection[_Call] = {
    ("migrate.py", "turn"),
    ("migrate.py", "_service_session"),
    ("serving.py", "_addresses"),
    ("session.py", "_connect_as_any"),
}
"""The files and functions that block, and run before anything is served, in a command, or in a thread."""


def check_sources(files: list[Path]) -> Findings:
    """Look for calls of the host's clock, which may be asked to time and wait, and not to decide.

    Args:
        files: the Python files of the layers that decide and store.
    """
    return _findings(files, _CLOCKS, "I5: the host's clock is asked")


def check_waits(files: list[Path]) -> Findings:
    """Look for calls that wait without letting other requests be served meanwhile.

    Args:
        files: the Python files of the whole service.
    """
    return _findings(files, _BLOCKING, "I9: all requests wait for one call", _NOT_IN_THE_LOOP)


def _findings(
    files: list[Path], calls: Collection[_Call], told: str, allowed: Collection[_Call] = ()
) -> Findings:
    problems = [
        f"{told}: {file.name}, line {line}: {call}()"
        for file in files
        for line, call, function in _calls(ast.parse(file.read_text(encoding="utf-8")), calls)
        if (file.name, function) not in allowed
    ]
    return Findings(len(files), problems)


def _calls(tree: ast.Module, calls: Collection[_Call]) -> Iterator[tuple[int, str, str]]:
    """The line and the name of each such call that is not awaited, and the innermost function around it."""
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    renamed = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname
    }
    awaited = {node.value for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node, function in _within(tree, ""):
        if not isinstance(node, ast.Call) or node in awaited:
            continue
        called = node.func
        if isinstance(called, ast.Attribute):
            owner = _last(called.value)
            if (renamed.get(owner, owner), called.attr) in calls:
                yield node.lineno, f"{owner}.{called.attr}", function
        elif isinstance(called, ast.Name) and imported.get(called.id) in calls:
            yield node.lineno, called.id, function


def _within(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, str]]:
    """Each node below one, and the innermost function that it is in."""
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield child, inner
        yield from _within(child, inner)


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
