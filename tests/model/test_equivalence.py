"""Model and domain compared: a domain that differs anywhere is a violation, shown with the arguments.

That the real pair agrees: see ``test_cli_model``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from payments_verify.model_checks.equivalence import check_equivalence
from tests.support.mutants import Edit, mutated_copy

CAPTURE = "domain/capture.py"
PAYMENT = "domain/payment.py"
LONG_ENOUGH = 10
"""CPU seconds to find a difference; to find that there is none takes longer for one of the rules."""

# The edit of the domain, the rule that differs, and what the two answer (where "" stands: one of several).
MUTANTS: dict[str, tuple[Edit, str, str, str]] = {
    "the window's end counts as inside": (
        Edit(CAPTURE, "if now >= capture_expires_at:", "if now > capture_expires_at:"),
        "capture",
        "WINDOW_EXPIRED",
        "",
    ),
    "amount before window": (
        Edit(
            CAPTURE,
            "    if now >= capture_expires_at:\n"
            "        return CaptureOutcome.CAPTURE_WINDOW_EXPIRED\n"
            "    if requested != authorized:\n"
            "        return CaptureOutcome.AMOUNT_MISMATCH\n",
            "    if requested != authorized:\n"
            "        return CaptureOutcome.AMOUNT_MISMATCH\n"
            "    if now >= capture_expires_at:\n"
            "        return CaptureOutcome.CAPTURE_WINDOW_EXPIRED\n",
        ),
        "capture",
        "WINDOW_EXPIRED",
        "AMOUNT_MISMATCH",
    ),
    "amount before state": (
        Edit(
            CAPTURE,
            "    if state is PaymentState.CAPTURED:\n",
            "    if requested != authorized:\n"
            "        return CaptureOutcome.AMOUNT_MISMATCH\n"
            "    if state is PaymentState.CAPTURED:\n",
        ),
        "capture",
        "",
        "AMOUNT_MISMATCH",
    ),
    "a part can be captured": (
        Edit(CAPTURE, "if requested != authorized:", "if requested > authorized:"),
        "capture",
        "",  # an amount that differs, or no room for one more refusal
        "CAPTURED",
    ),
    "a key accepts smaller amounts": (
        Edit(CAPTURE, "if self.amount_cents != amount.cents:", "if self.amount_cents < amount.cents:"),
        "replay",
        "KEY_REUSED",
        "",
    ),
    "a window too long by one": (
        Edit(
            PAYMENT,
            "capture_expires_at=now + window.duration,",
            "capture_expires_at=now + window.duration + 1,",
        ),
        "authorize",
        "AUTHORIZED",
        "AUTHORIZED",
    ),
    "captured can be voided": (
        Edit(
            PAYMENT,
            "        if self.state is not PaymentState.AUTHORIZED:\n",
            "        if self.state not in (PaymentState.AUTHORIZED, PaymentState.CAPTURED):\n",
        ),
        "fail",
        "ALREADY_CAPTURED",
        "FAILED",
    ),
    "expires one µs late": (
        Edit(PAYMENT, "now >= self.capture_expires_at", "now > self.capture_expires_at"),
        "expire",
        "EXPIRED",
        "WINDOW_OPEN",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_domain_that_differs_is_a_violation_with_the_arguments(
    mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, rule, by_model, by_domain = MUTANTS[mutant]
    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, [edit])))
    result = check_equivalence(select=lambda name: name == rule, seconds=LONG_ENOUGH)
    assert result.verdict == "violated"
    [found] = result.details["rules"]
    assert (found["rule"], found["verdict"], found["confirmed"]) == (rule, "violated", False)
    assert found["differences"]
    shown = str(result.counterexample).splitlines()
    assert shown[0] == f"{rule}: the model and the domain differ"
    assert any(line.startswith("  given payment=") for line in shown)
    answers = [
        (difference["first"], difference["second"])
        for difference in found["differences"]
        if by_model in difference["first"] and f"'{by_domain}" in difference["second"]
    ]
    assert answers, found["differences"]
    assert all(first != second for first, second in answers)
    assert f"    the model {answers[0][0]}" in shown
    assert f"    the domain {answers[0][1]}" in shown
    assert "the contract: refuted: false when calling" in str(result.counterexample)


def test_too_little_time_is_no_success() -> None:
    result = check_equivalence(select=lambda name: name == "capture", seconds=0.01)
    assert result.verdict == "no verdict"
    [found] = result.details["rules"]
    assert not (found["exhausted"] and found["confirmed"])
    assert "capture: not shown equal; diffbehavior: " in str(result.counterexample)


def test_a_domain_that_cannot_be_imported_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Edit(CAPTURE, "from uuid import UUID\n", "from uuid import UUID, nothing\n")
    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, [broken])))
    result = check_equivalence(select=lambda name: name == "expire")
    assert result.verdict == "no verdict"
    assert "cannot import it: ImportError: cannot import name 'nothing' from 'uuid'" in str(
        result.counterexample
    )


def test_no_rule_is_no_success() -> None:
    result = check_equivalence(select=lambda _name: False)
    assert (result.verdict, result.counterexample) == ("no verdict", "no rule was named")
