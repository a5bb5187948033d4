"""A history is read for all that it says, or refused at its line: what is overlooked could hide a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from payments_verify.cli import app

CREATE, CREATED = {"payment": "p", "amount": 100}, {"outcome": "created"}
OF_P, CAPTURE = {"payment": "p"}, {"payment": "p", "key": "k", "amount": 100}


def check(path: Path, spec: str, *calls: tuple[str, Any, Any], kind: str = "ok") -> Result:
    lines: list[dict[str, Any]] = [{"format": "payments-verify-history", "version": 1, "spec": spec}]
    for f, value, response in calls:
        lines.append({"type": "invoke", "process": 0, "f": f, "value": value})
        lines.append({"type": kind, "process": 0, "f": f, "value": response})
    path.write_text("\n".join(map(json.dumps, lines)))
    return CliRunner().invoke(app, ["history", str(path)])


@pytest.mark.parametrize(
    ("spec", "f", "value", "response", "problem"),
    [
        ("kv", "get", {"key": "a"}, {"key": "b", "value": ""}, "get {"),
        ("kv", "get", {"key": "a"}, {"key": "a", "value": "", "x": 1}, "get {"),
        ("kv", "get", {"key": "a", "value": "1"}, {"key": "a", "value": ""}, "get {"),
        ("kv", "put", {"key": "a", "value": "1", "x": 1}, None, "put and append {"),
        ("cas-register", "write", {"key": 1, "value": 1, "x": 1}, None, "write N"),
        ("cas-register", "read", {"key": 1, "value": None}, {"key": 1, "value": None, "x": 1}, "read"),
        ("payments", "create", {**CREATE, "currency": "EUR"}, CREATED, "unknown field `currency`"),
        ("payments", "create", CREATE, {**CREATED, "x": 1}, "unknown field `x`"),
        ("payments", "create", CREATE, {"outcome": "created\n"}, "$.outcome"),
        ("payments", "capture", CAPTURE, {"outcome": "captured", "replayd": True}, "unknown field `replayd`"),
        ("payments", "read", OF_P, {}, "the answer shows no payment"),
        ("payments", "read", OF_P, {"outcome": "read"}, "the answer shows no payment"),
        ("payments", "read", OF_P, {"paymen": {"state": "pending"}}, "unknown field `paymen`"),
        ("payments", "read", OF_P, {"payment": {"stat": "pending"}}, "unknown field `stat`"),
        ("payments", "read", OF_P, {"payment": {}}, "missing required field `state`"),
        ("payments", "attempts", OF_P, {}, "the answer shows no attempts"),
        ("payments", "attempts", OF_P, {"attemps": []}, "unknown field `attemps`"),
    ],
)
def test_what_would_be_overlooked_is_refused_at_its_line(
    spec: str, f: str, value: object, response: object, problem: str, tmp_path: Path
) -> None:
    before = [("create", CREATE, CREATED)] if spec == "payments" and f != "create" else []
    done = check(tmp_path / "h", spec, *before, (f, value, response))
    assert done.exit_code == 2, done.output
    assert f"h:{2 + 2 * len(before)}: {spec}: process 0" in done.stderr
    assert problem in done.stderr


def test_a_refusal_that_names_a_success_is_refused_at_its_line(tmp_path: Path) -> None:
    done = check(tmp_path / "h", "payments", ("create", CREATE, CREATED), kind="fail")
    assert (done.exit_code, "h:2: payments: process 0" in done.stderr) == (2, True)
    assert "created is no refusal" in done.stderr


def test_a_history_of_nothing_has_no_verdict(tmp_path: Path) -> None:
    done = check(tmp_path / "h", "payments")
    assert (done.exit_code, done.stderr) == (2, f"error: {tmp_path / 'h'}: it has no operation of a client\n")
