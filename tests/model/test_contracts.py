"""The contract gate: each way in which it must not pass.

That it passes for the model: see ``test_cli_model``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from payments_verify.model_checks.contracts import Condition, check_contracts, discover
from payments_verify.model_checks.workers import Job, run_jobs
from payments_verify.result import CheckResult
from tests.support.mutants import Edit, mutated_model

FUNCTIONS = ("capture", "create", "authorize", "fail", "expire", "read")
INVARIANTS = {"I1", "I2", "I3", "I4", "I5", "I6", "I8", "I11", "Precedence"}

# The edit, the functions whose contracts are decided, and what must be refuted.
MUTANTS: dict[str, tuple[Edit, str, set[str]]] = {
    "captured can fail": (
        Edit(
            "lifecycle.py",
            "    if not isinstance(payment, Authorized):\n"
            "        return Step(payment, None, refusal_of(payment))\n"
            "    return Step(_failed(payment, now, reason), None, Outcome.FAILED)\n",
            "    if not isinstance(payment, Authorized | Captured):\n"
            "        return Step(payment, None, refusal_of(payment))\n"
            "    return Step(_failed(payment, now, reason), None, Outcome.FAILED)\n",
        ),
        "lifecycle.fail",
        {
            "I2: only legal moves happen",
            "I2: exactly an authorized payment can be declined or voided",
        },
    ),
    "the window's end counts as inside": (
        Edit(
            "payment.py",
            "return instant < payment.capture_expires_at",
            "return instant <= payment.capture_expires_at",
        ),
        "capture.capture",
        {"I5: a capture is decided strictly before the window ends"},
    ),
    "a success is stored without a capture": (
        Edit(
            "capture.py",
            "            return Step(captured, Attempt(amount, Outcome.CAPTURED, now), Outcome.CAPTURED)",
            "            return Step(payment, Attempt(amount, Outcome.CAPTURED, now), Outcome.CAPTURED)",
        ),
        "capture.capture",
        {
            "I1: a payment becomes captured by the one capture that succeeds, and only from authorized",
            "I6: a success is stored exactly when the payment is captured",
        },
    ),
    "amount before window": (
        Edit(
            "capture.py",
            "        case Authorized() if not window_open(payment, now):\n"
            "            outcome = Outcome.WINDOW_EXPIRED\n"
            "        case Authorized() if amount != payment.amount:\n"
            "            outcome = Outcome.AMOUNT_MISMATCH\n",
            "        case Authorized() if amount != payment.amount:\n"
            "            outcome = Outcome.AMOUNT_MISMATCH\n"
            "        case Authorized() if not window_open(payment, now):\n"
            "            outcome = Outcome.WINDOW_EXPIRED\n",
        ),
        "capture.capture",
        {"Precedence: the first condition that holds is the answer"},
    ),
    "a replay is decided again": (
        Edit(
            "capture.py",
            "        if recorded.amount == amount:\n",
            "        if recorded.amount == amount != 1:\n",
        ),
        "capture.capture",
        {"I3: a known key with the same request gets the stored answer again, and nothing changes"},
    ),
    "a refusal fails the payment": (
        Edit(
            "lifecycle.py",
            "        return Step(payment, None, Outcome.WINDOW_OPEN)",
            "        return Step(_failed(payment, now, FailureReason.VOIDED), None, Outcome.WINDOW_OPEN)",
        ),
        "lifecycle.expire",
        {"I11: a refusal changes nothing"},
    ),
}

HEADER = "from icontract import ensure, require\n\n\n"
ADDS = HEADER + '@ensure(lambda n, result: result == n + 1, "I1: adds one")\ndef add(n: int) -> int:\n'

_numbers = count(1)

Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Write a package that this process and its children can import; each has a name of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(**modules: str) -> str:
        name = f"written_{os.getpid()}_{next(_numbers)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        for module, source in modules.items():
            (tmp_path / name / f"{module}.py").write_text(source)
        return name

    return write


def of(function: str) -> Callable[[Condition], bool]:
    return lambda condition: condition.function.endswith(f".{function}")


def statuses(result: CheckResult) -> dict[str, str]:
    return {condition["text"]: condition["status"] for condition in result.details["conditions"]}


# ---- what is found ------------------------------------------------------------------------------


def test_every_command_has_contracts_and_every_one_names_an_invariant() -> None:
    conditions = discover("payments_model")
    assert {condition.function.rpartition(".")[2] for condition in conditions} == set(FUNCTIONS)
    assert {condition.invariant for condition in conditions} == INVARIANTS
    places = [(condition.function, condition.index) for condition in conditions]
    assert len(set(places)) == len(places)
    by_function = {name: [i for f, i in places if f.endswith(f".{name}")] for name in FUNCTIONS}
    assert all(sorted(indices) == list(range(len(indices))) for indices in by_function.values())


def test_methods_and_nested_modules_are_found_and_imported_functions_are_found_once(package: Package) -> None:
    name = package(
        a=ADDS + "    return n + 1\n",
        b="from {0} import add\n",
        c=HEADER
        + 'class C:\n    @ensure(lambda result: result > 0, "I2: positive")\n'
        + "    def one(self) -> int:\n        return 1\n",
    )
    source = Path(os.environ["PYTHONPATH"]) / name / "b.py"
    source.write_text(source.read_text().format(f"{name}.a"))
    assert [condition.function for condition in discover(name)] == [f"{name}.a.add", f"{name}.c.C.one"]


# ---- refuted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_model_is_refuted_by_the_invariant_that_it_breaks(
    mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit, function, refuted = MUTANTS[mutant]
    name = f"broken_{os.getpid()}_{next(_numbers)}"
    mutated_model(tmp_path, [edit], name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = check_contracts(name, select=lambda each: of(function)(each) and each.text in refuted)
    assert result.verdict == "violated"
    assert statuses(result) == dict.fromkeys(refuted, "refuted")
    for text in refuted:
        assert text in str(result.counterexample)
    assert "when calling" in str(result.counterexample)


def test_one_that_is_refuted_is_told_before_those_that_are_not_confirmed(package: Package) -> None:
    name = package(a=ADDS + "    return n\n", b=UNDECIDABLE)
    told = []
    result = check_contracts(name, seconds=2, progress=lambda *args: told.append(args))
    assert result.verdict == "violated"
    assert statuses(result) == {"I1: adds one": "refuted", "I9: comes to an end": "not confirmed"}
    assert str(result.counterexample).index("adds one") < str(result.counterexample).index("comes to an end")
    assert [(done, total) for done, total, _ in told] == [(1, 2), (2, 2)]


def test_an_exception_is_a_refutation(package: Package) -> None:
    name = package(a=ADDS + "    return n + 1 if n != 77 else 1 // 0\n")
    result = check_contracts(name, seconds=10)
    assert (result.verdict, statuses(result)) == ("violated", {"I1: adds one": "refuted"})
    assert "ZeroDivisionError" in str(result.counterexample)


# ---- no verdict ---------------------------------------------------------------------------------

UNDECIDABLE = HEADER + (
    '@ensure(lambda result: result >= 1, "I9: comes to an end")\n'
    "def steps(n: int) -> int:\n"
    "    steps = 1\n"
    "    while n > 1:\n"
    "        n = n // 2 if n % 2 == 0 else 3 * n + 1\n"
    "        steps += 1\n"
    "    return steps\n"
)
IMPOSSIBLE = (
    HEADER
    + '@require(lambda n: n > 1 and n < 1)\n@ensure(lambda result: result == 0, "I1: never")\n'
    + "def never(n: int) -> int:\n    return 1\n"
)
RETURNS = "    return n + 1\n"
DIES = ADDS + "    import os\n    os._exit(3)\n"


def test_a_confirmed_package_holds(package: Package) -> None:
    result = check_contracts(package(a=ADDS + "    return n + 1\n"))
    assert (result.verdict, result.counterexample, result.cases) == ("holds", None, 1)
    assert (result.details["confirmed"], result.details["total"]) == (1, 1)


@pytest.mark.parametrize(
    ("source", "text"),
    [(UNDECIDABLE, "I9: comes to an end"), (IMPOSSIBLE, "I1: never"), (DIES, "I1: adds one")],
    ids=["undecidable", "no arguments meet the precondition", "the child dies"],
)
def test_what_is_not_confirmed_is_no_success(source: str, text: str, package: Package) -> None:
    result = check_contracts(package(a=source), seconds=2)
    assert result.verdict == "no verdict"
    assert statuses(result) == {text: "not confirmed"}
    assert result.details["confirmed"] == 0
    assert text in str(result.counterexample)
    assert ("CrossHair ended with 3" in str(result.counterexample)) == (source is DIES)


def test_one_of_many_that_is_not_confirmed_is_no_success(package: Package) -> None:
    result = check_contracts(package(a=ADDS + "    return n + 1\n", b=UNDECIDABLE), seconds=2)
    assert result.verdict == "no verdict"
    assert (result.details["confirmed"], result.details["total"]) == (1, 2)


def test_a_package_without_contracts_is_no_success(package: Package) -> None:
    name = package(a="def f(n: int) -> int:\n    return n\n")
    result = check_contracts(name)
    assert (result.verdict, result.cases) == ("no verdict", 0)
    assert result.counterexample == f"{name} has no such contract"


def test_a_selection_of_nothing_is_no_success() -> None:
    assert check_contracts(select=lambda _condition: False).verdict == "no verdict"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("1 // 0\n", "ZeroDivisionError: "),
        ("def broken(:\n", "SyntaxError: "),
    ],
)
def test_a_package_that_cannot_be_imported_is_no_success(source: str, error: str, package: Package) -> None:
    name = package(a=source)
    result = check_contracts(name)
    assert result.verdict == "no verdict"
    assert str(result.counterexample).startswith(f"{name} cannot be imported: {error}")


def test_a_package_that_is_not_there_is_no_success() -> None:
    result = check_contracts("no_package_of_this_name")
    assert result.verdict == "no verdict"
    assert "no_package_of_this_name cannot be imported: ModuleNotFoundError" in str(result.counterexample)


def test_a_child_that_takes_too_long_is_stopped(package: Package) -> None:
    job = Job(("check", f"{package(a=UNDECIDABLE)}.a.steps", "600", "0"), limit=0.3)
    found: list[object] = []
    assert run_jobs([job], lambda *finding: found.append(finding)) == {job: "stopped after 0 s"}
    assert found == []


def test_what_ends_the_taking_of_findings_is_told(package: Package) -> None:
    class TakenError(Exception):
        pass

    def take(_job: Job, _finding: object) -> None:
        raise TakenError

    job = Job(("check", f"{package(a=ADDS + RETURNS)}.a.add", "60", "0"), limit=60)
    with pytest.raises(ExceptionGroup) as ended:
        run_jobs([job], take)
    (error,) = ended.value.exceptions
    assert isinstance(error, TakenError)
