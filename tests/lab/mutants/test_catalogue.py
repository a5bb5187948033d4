"""The catalogue says what it should, fits today's code, and has every bug that it has to have."""

from __future__ import annotations

import compileall
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import payments_core
from lab.mutants.catalogue import Catalogue, CatalogueError, load
from lab.mutants.edit import Edit, EditError, mutated_copy
from tests.support.mutants import CATALOGUE

PACKAGE = Path(str(payments_core.__file__)).parent
SPECIFICATION = Path(__file__).parents[3] / "specs" / "specification.md"

# Each bug that the catalogue has to have, and its names there.
REQUIRED = {
    "no row lock": ["no-row-lock"],
    "locks, then decides on an entity read before": ["decides-on-an-earlier-read"],
    "lock in autocommit": ["lock-in-autocommit"],
    "NOWAIT unmapped": ["nowait-unmapped"],
    "FOR SHARE then update": ["share-lock-then-update"],
    "advisory lock on a truncated hash": ["advisory-lock-on-a-truncated-hash"],
    "in-process lock instead of the database's": ["lock-in-the-process"],
    "REPEATABLE READ with no retry": ["repeatable-read-without-retry"],
    "guarded update with its row count ignored": ["guarded-update-row-count-ignored"],
    "sweeper without guard": ["sweeper-without-guard"],
    "multi-row lock without order": ["multi-row-lock-without-order"],
    "wrong transition table, three edges": [
        "edge-pending-to-captured",
        "edge-captured-to-failed",
        "edge-failed-to-captured",
    ],
    "check-then-insert with no constraint": ["check-then-insert-without-constraint"],
    "unique violation answered 500": ["unique-violation-answered-500"],
    "key committed before the capture": ["key-committed-before-capture"],
    "key committed after it": ["key-committed-after-capture"],
    "key global instead of per payment": ["key-global"],
    "fingerprint not compared": ["fingerprint-not-compared"],
    "state checked before the key": ["state-checked-before-key"],
    "fingerprint of raw bytes": ["fingerprint-of-raw-bytes"],
    "replay rebuilt from the current row": ["replay-rebuilt-from-current-row"],
    "replay with another status": ["replay-with-another-status"],
    "refusal not stored": ["refusal-not-stored"],
    "transient 5xx stored": ["transient-error-stored"],
    "ON CONFLICT DO UPDATE of the body": ["body-updated-on-conflict"],
    "one-statement look-up with the old snapshot": ["lock-and-look-up-in-one-statement"],
    "key inserted before the payment is known to exist": ["key-inserted-before-payment-is-known"],
    "now()": ["now-for-the-clock"],
    "clock inside the locking statement": ["clock-in-the-locking-statement"],
    "window checked before the lock only": ["window-checked-before-the-lock"],
    "application clock": ["application-clock"],
    "<=": ["window-end-inclusive"],
    "window enforced only by the sweeper": ["window-enforced-only-by-the-sweeper"],
    "response before COMMIT": ["response-before-commit"],
    "blind retry after an ambiguous commit": ["blind-retry-after-lost-commit"],
    "autocommit left on": ["autocommit-left-on"],
    "client disconnect leaves the connection in a transaction": ["disconnect-leaves-a-transaction"],
    "amounts: true, 1e3, 0, negative, more than authorized, 2^63": [
        "amount-true",
        "amount-1e3",
        "amount-zero",
        "amount-negative",
        "amount-more-than-authorized",
        "amount-beyond-bigint",
    ],
}
VALID = """
name = "a-bug"
category = "time"
stands_for = "a bug"
breaks = ["I5"]
expected = ["machine"]
edits = [{ file = "domain/capture.py", find = "now >=", replace = "now >" }]
"""


def test_every_bug_that_has_to_be_there_is_there() -> None:
    assert [name for names in REQUIRED.values() for name in names if name not in CATALOGUE] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_mutant_fits_the_code_and_can_be_imported(name: str, tmp_path: Path) -> None:
    mutated_copy(PACKAGE, tmp_path, CATALOGUE.edits(name))
    for edit in CATALOGUE.edits(name):
        path = tmp_path / PACKAGE.name / edit.file
        assert path.read_text() != _text(PACKAGE / edit.file)
        assert path.suffix != ".py" or compileall.compile_file(path, quiet=2)


def test_the_invariants_are_those_of_the_specification() -> None:
    stated = set(re.findall(r"^### (I\d+)\.", SPECIFICATION.read_text(), re.MULTILINE))
    broken = {invariant for mutant in CATALOGUE.values() for invariant in mutant.breaks}
    assert broken == stated == {f"I{number}" for number in range(1, 13)}


def test_every_technique_is_the_one_that_something_is_for() -> None:
    """Without a mutant that it alone is expected to find, nothing shows that a technique is needed."""
    alone = {mutant.expected[0] for mutant in CATALOGUE.values() if len(mutant.expected) == 1}
    assert alone >= {"static", "machine", "faults"}
    assert {technique for mutant in CATALOGUE.values() for technique in mutant.expected} == {
        "static",
        "model",
        "machine",
        "exploration",
        "faults",
        "stress",
    }


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (Edit("domain/capture.py", "no such text", ""), "the anchor stands 0 times in it"),
        (Edit("domain/capture.py", "return", ""), r"the anchor stands \d+ times in it, not once: 'return'"),
        (Edit("domain/gone.py", "x", ""), "domain/gone.py is no file"),
        (Edit("domain/capture.py", None, "x"), "domain/capture.py exists already"),
    ],
)
def test_an_edit_fails_loudly_where_the_code_moved_on(edit: Edit, says: str, tmp_path: Path) -> None:
    with pytest.raises(EditError, match=says):
        mutated_copy(PACKAGE, tmp_path, [edit])


def _catalogue(folder: Path, change: Callable[[str], str] = str, name: str = "a-bug") -> Catalogue:
    (folder / f"{name}.toml").write_text(change(VALID))
    return load(folder)


def test_a_catalogue_is_read(tmp_path: Path) -> None:
    catalogue = _catalogue(tmp_path)
    assert list(catalogue) == ["a-bug"]
    assert catalogue.edits("a-bug") == (Edit("domain/capture.py", "now >=", "now >"),)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "a-bug"', 'name = "b-bug"', "a mutant has the name of its file"),
        ('"I5"', '"I13"', "breaks names no invariant of I1 to I12: I13"),
        ('"I5"', "", "breaks names no invariant"),
        ('["machine"]', "[]", "expected is empty"),
        ("edits =", 'source = "a colleague"\nedits =', "Expected `str` matching regex '\\^https://'"),
        ('"machine"', '"luck"', "Invalid enum value 'luck'"),
        ('"time"', '"space"', "Invalid enum value 'space'"),
        ('"a bug"', '" "', "stands_for is empty"),
        ('replace = "now >"', 'replace = "now >="', "changes nothing"),
        (', replace = "now >"', "", "missing required field `replace`"),
        ("edits =", "edit =", "unknown field `edit`"),
        ("edits =", 'also = ["c-bug"]\nedits =', "also names 'c-bug'"),
        ("name =", "name", "Invalid|Expected|name"),
    ],
)
def test_a_file_that_says_something_else_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=says):
        _catalogue(tmp_path, lambda text: text.replace(old, new))


def test_an_empty_folder_is_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="holds no mutants"):
        load(tmp_path)


def test_a_mutant_may_build_on_another(tmp_path: Path) -> None:
    _catalogue(tmp_path)
    more = VALID.replace("a-bug", "b-bug").replace("edits", 'also = ["a-bug"]\nedits').replace("now", "x")
    (tmp_path / "b-bug.toml").write_text(more)
    assert [edit.find for edit in load(tmp_path).edits("b-bug")] == ["now >=", "x >="]


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None
