"""Reports as they are saved: of a run in which everything holds, and of one in which nothing does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from payments_verify.payments.told.drawings import attempted, schedule
from payments_verify.state_edges import Edge, edge_counts
from tests.harness.report.test_attempt import naive
from tests.pgweave.timeline.examples import lost_update
from tests.pgweave.timeline.hostile import hostile

CAPTURED = Edge("authorized", "capture", "captured", "captured")
EXERCISED = edge_counts(
    Counter(
        {
            Edge("none", "create", "created", "pending"): 6,
            Edge("pending", "authorize", "authorized", "authorized"): 332,
            CAPTURED: 192,
            Edge("authorized", "fail", "failed", "failed"): 2_076,
            Edge("captured", "capture", "already_captured", "captured"): 2_700,
        }
    )
)


def check(name: str, kind: str, cases: int, **more: Any) -> dict[str, Any]:
    common = {"verdict": "holds", "seconds": 1.25, "counterexample": None, "timelines": []}
    return {"name": name, "kind": kind, "cases": cases, **common, **more}


def condition(invariant: str, status: str) -> dict[str, Any]:
    return {
        "function": "payments_model.capture.capture",
        "index": 1,
        "line": 7,
        "text": f"{invariant}: a rule that is {status}",
        "says": f"a rule that is {status}",
        "invariant": invariant,
        "status": status,
        "message": "",
        "seconds": 2.5,
    }


def scenario(name: str, *, complete: bool, problem: str | None = None) -> dict[str, Any]:
    return {
        "scenario": name,
        "verdict": "holds" if problem is None else "violated",
        "complete": complete,
        "problem": problem,
        "schedules": 54,
        "deepest": 19,
        "outcomes": 3,
        "naive": {"schedules": 12_260.0, "known": "estimated", "probes": 20, "standard_error": 900.0},
    }


def fault() -> dict[str, Any]:
    names = ("injected", "effects", "missed", "unknown", "acknowledged", "lost", "doubled")
    served = {"served_again_median_s": 0.31, "served_again_worst_s": None}
    return {"fault": "API killed", **dict.fromkeys(names, 17), **served}


def fault_at_statements() -> dict[str, Any]:
    names = ("places", "injected", "unanswered", "acknowledged", "lost", "doubled")
    return {"scenario": "one-capture", "fault": "cut after", **dict.fromkeys(names, 7)}


def green() -> dict[str, Any]:
    rule = {"rule": "capture", "verdict": "holds", "paths": 90, "exhausted": True, "confirmed": True}
    return {
        "format": "payments-verify-report",
        "version": 2,
        "verdict": "holds",
        "exit_code": 0,
        "seconds": 86.0,
        "finished_at": "2026-11-25T22:51:02+00:00",
        "seed": 580_084,
        "quick": True,
        "interrupted": False,
        "machine": {"python": "3.11.7", "postgres": "18.6", "cores": 2, "system": "Linux"},
        "checks": [
            check(
                "contracts of payments_model, on all paths",
                "contracts",
                2,
                confirmed=2,
                total=2,
                conditions=[condition("I1", "confirmed"), condition("I10", "confirmed")],
            ),
            check("the rules are the same", "equivalence", 1_162, confirmed=1, total=1, rules=[rule]),
            check(
                "the bounded model, every state and transition",
                "exploration",
                154_629,
                states=8_949,
                transitions=154_629,
                depth=7,
                outcomes={"captured": 192},
                states_by_payment={
                    "none": 3,
                    "pending": 166,
                    "authorized": 1_038,
                    "captured": 516,
                    "failed": 9,
                },
                exercised=EXERCISED,
            ),
            check(
                "every interleaving: in memory",
                "interleavings",
                221,
                complete=True,
                scenarios=[scenario("three-captures", complete=True)],
                exercised=edge_counts(Counter({CAPTURED: 159})),
            ),
            check(
                "stress: 2 server processes",
                "linearizability",
                3_785,
                rounds=40,
                histories="build/report/histories",
                exercised=edge_counts(Counter({CAPTURED: 28})),
            ),
            check(
                "soak",
                "faults",
                12_627,
                windows=5,
                acknowledged=1_954,
                lost=0,
                doubled=0,
                faults=[fault()],
                histories="build/report/histories/soak",
            ),
            check("faults at every statement", "faults", 77, faults=[fault_at_statements()]),
        ],
    }


def red(text: str = "") -> dict[str, Any]:
    """One in which checks are violated; ``text`` stands in everything that comes from outside."""
    report = green()
    timeline = hostile() if text else lost_update()
    report |= {"verdict": "violated", "exit_code": 1}
    violated = {"verdict": "violated", "counterexample": f"not linearizable {text}"}
    checks = report["checks"]
    checks[0] |= {
        **violated,
        "confirmed": 1,
        "conditions": [condition("I1", "refuted"), condition(f"I10{text}", "confirmed")],
    }
    checks[3] |= {
        **violated,
        "complete": False,
        "scenarios": [scenario(f"three-captures{text}", complete=False, problem="not linearizable")],
        "timelines": [schedule(timeline), attempted(f"the attempt {text}", naive())],
    }
    checks[4] |= {**violated, "timelines": [attempted(f"histories/stress-1.jsonl {text}", naive())]}
    return report


def mutants() -> dict[str, Any]:
    def cell(state: str, *, expected: bool = False, tries: int | None = None) -> dict[str, Any]:
        return {
            "state": state,
            "expected": expected,
            "tries": tries,
            "seconds": 1.5,
            "size": 2,
            "unit": "switches",
        }

    def row(name: str, verdict: str, machine: dict[str, Any], exploration: dict[str, Any]) -> dict[str, Any]:
        about = {"name": name, "stands_for": f"what {name} stands for"}
        return {**about, "verdict": verdict, "cells": {"machine": machine, "exploration": exploration}}

    return {
        "format": "payments-verify-mutants",
        "version": 2,
        "verdict": "violated",
        "summary": "a mutant survives",
        "finished_at": "2026-11-26T01:02:03+00:00",
        "sources": "0123456789abcdef",
        "killed": 1,
        "total": 2,
        "survivors": ["an-edge-too-many"],
        "false_alarms": [],
        "techniques": [{"name": "machine"}, {"name": "exploration"}],
        "unmutated": row("", "survived", cell("survived"), cell("survived")),
        "mutants": [
            row("no-row-lock", "killed", cell("survived"), cell("killed", expected=True, tries=29)),
            row("an-edge-too-many", "survived", cell("survived", expected=True), cell("not tried")),
        ],
    }
