"""The command `pgweave`: a race of a module's is explored and replayed, and histories are judged."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import pytest

from pgweave import cli, explore
from tests.support.postgres import Database

HISTORIES = Path(__file__).parent / "histories"

RACE = """
import psycopg

from pgweave import Spec


def setup(dsn):
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE IF NOT EXISTS seats (free int)")
        db.execute("DELETE FROM seats")
        db.execute("INSERT INTO seats VALUES (10)")


def booking(lock):
    def book(dsn):
        with psycopg.connect(dsn) as db:
            free = db.execute(f"SELECT free FROM seats{lock}").fetchone()[0]
            db.execute("UPDATE seats SET free = %s", [free - 1])

    return book


def two_are_gone(dsn):
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT free FROM seats").fetchone() == (8,), "a booking was lost"


class Anything(Spec):
    def step(self, state, operation):
        return (state,)


def race(lock):
    return {"setup": setup, "clients": [booking(lock)] * 2, "check": two_are_gone}


def naive():
    return race("")


locking = race(" FOR UPDATE")
unknown = {**locking, "invariant": two_are_gone}
bare = {"check": two_are_gone}
number = 7


def raising():
    raise ValueError("no such race")
"""


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def pgweave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command, in a folder with modules that nobody has imported before."""
    (tmp_path / "races.py").write_text(RACE)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Ended:
        for module in ("races", "broken"):
            sys.modules.pop(module, None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.app(list(words), prog_name="pgweave")
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_what_is_wrong_is_drawn_kept_and_replayed(empty_database: Database, pgweave: Run) -> None:
    where = ("--dsn", empty_database.dsn)
    done = pgweave("explore", "races:naive", *where)
    assert (done.code, done.err) == (1, "")
    assert done.out.startswith("violated in schedule 2: a booking was lost")
    assert done.out.endswith("the schedule is in naive.json\n")
    again = pgweave("replay", "naive.json", "races:naive", *where, "--json")
    found = json.loads(again.out)
    assert again.code == 1
    assert (found["verdict"], found["problem"].partition("\n")[0]) == ("violated", "a booking was lost")
    assert found["schedule"] == json.loads(Path("naive.json").read_text())["schedule"]
    mended = pgweave("replay", "naive.json", "races:locking", *where)
    assert mended.code == 2
    assert "the schedule cannot be run again" in mended.err


def test_what_is_right_holds(empty_database: Database, pgweave: Run) -> None:
    done = pgweave("explore", "races:locking", "--dsn", empty_database.dsn, "--json")
    found = json.loads(done.out)
    assert (done.code, found["verdict"], found["schedules"], found["complete"]) == (0, "holds", 6, True)
    assert not Path("locking.json").exists()
    brief = ("--dsn", empty_database.dsn, "--limit", "0.000001")
    stopped = pgweave("explore", "races:locking", *brief)
    assert stopped.code == 2
    assert "no verdict" in stopped.out


@pytest.mark.parametrize("folder", ["", "./", "elsewhere/"])
def test_a_module_may_be_named_by_its_file(empty_database: Database, pgweave: Run, folder: str) -> None:
    Path("elsewhere").mkdir()
    if folder == "elsewhere/":
        Path("races.py").rename("elsewhere/races.py")
    assert pgweave("explore", f"{folder}races.py:locking", "--dsn", empty_database.dsn).code == 0


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("races", "races lacks 'clients', which pgweave.explore needs"),
        ("nowhere:race", "nowhere:race cannot be had, here or where Python has modules: ModuleNotFoundError"),
        ("broken:race", "No module named 'nothing_of_that_name'"),
        ("races:none", "has no attribute 'none'"),
        ("races:number", "races:number is no dict of the arguments of pgweave.explore"),
        ("races:unknown", "has 'invariant'; pgweave.explore takes check, clients, service, setup"),
        ("races:bare", "races:bare lacks 'setup' and 'clients'"),
        ("races:raising", "races:raising raised ValueError: no such race"),
    ],
)
def test_what_cannot_be_explored_is_told(pgweave: Run, target: str, told: str) -> None:
    done = pgweave("explore", target, "--dsn", "postgresql://nobody@127.0.0.1:1/none")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("pgweave: no verdict: ")
    assert told in done.err


def test_a_database_that_cannot_be_reached_is_told_without_its_password(pgweave: Run) -> None:
    dsn = "postgresql://nobody:secret@127.0.0.1:1/none"
    done = pgweave("explore", "races:locking", "--dsn", dsn)
    assert done.code == 2
    assert "internal error" not in done.err
    assert "secret" not in done.err


def test_histories_are_judged(pgweave: Run) -> None:
    right, wrong = HISTORIES / "kv-ok-two-keys.jsonl", HISTORIES / "kv-bad-stale-get.jsonl"
    assert pgweave("history", str(right)).code == 0
    done = pgweave("history", str(right), str(wrong))
    assert done.code == 1
    assert f"{right}: holds\n{wrong}: violated: not linearizable" in done.out
    lost = pgweave("history", str(right), "none.jsonl", "--json")
    assert lost.code == 2
    assert [each["verdict"] for each in json.loads(lost.out)] == ["holds", "no verdict"]
    assert pgweave("history", str(wrong), "--spec", "races:Anything").code == 0
    assert "no specification is named 'x'" in pgweave("history", str(wrong), "--spec", "x").err


def test_an_interrupt_is_no_violation(pgweave: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @wraps(explore)
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "explore", interrupted)
    done = pgweave("explore", "races:locking")
    assert (done.code, done.err) == (2, "pgweave: interrupted; no verdict\n")


def test_help_names_the_exit_codes(pgweave: Run) -> None:
    assert "explore" in pgweave("--help").out
    for command in ("explore", "discover", "replay", "history"):
        done = pgweave(command, "--help")
        assert done.code == 0
        assert "Exit codes: 0" in done.out
