"""`python -m lab peers`: what a peer's file promises is tried, and the page's table says what came of it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from lab import stacks
from lab.cli import app
from lab.peers import PEER_FILE, Peer, every_peer_in, names_meant
from lab.stacks import ExaminedPeer, examine_peer, filled, rows_of
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.payments.scenarios.catalogue import SCENARIOS
from payments_verify.result import CheckResult
from pgweave.service.command import CommandError
from pgweave.verdict import Verdict
from tests.docs.pages import ROOT

PEERS = ROOT / "examples" / "peers"
PAGE = ROOT / "specs" / "stacks.md"
BUGS = {"no lock", "key looked up before the lock", "clock read before the lock"}
EVERY = {peer.name: peer for peer in every_peer_in(PEERS)}
ANY = Examination("charges", open_service=lambda: None, unchecked=["levels 4 and 5: no UUIDs"])  # type: ignore[arg-type, return-value]
NEW_PAGE = "# Page\n\n<!-- made by `python -m lab peers --table` -->\n<!-- end -->\n\nMore.\n"


def examined(name: str, **changed: Any) -> ExaminedPeer:
    found = ExaminedPeer(sources="now", name=name, stack="Go", features=["simple"], level=5, seconds=61.4)
    return msgspec.structs.replace(found, **changed)


@pytest.mark.parametrize("file", sorted(PEERS.glob(f"*/{PEER_FILE}")), ids=lambda file: file.parent.name)
def test_a_peer_that_shows_bugs_shows_each_of_them(file: Path) -> None:
    content = tomllib.loads(file.read_text())
    named = {each["name"] for each in content.get("wrong", ()) if "BUG" in each.get("environment", ())}
    assert not named or named >= BUGS
    assert all(each.get("scenario", "same-key-twice") in SCENARIOS for each in content.get("wrong", ()))


def test_the_tables_rows_are_those_of_peers() -> None:
    rows = rows_of(PAGE.read_text())
    assert {name: row[1] for name, row in rows.items()} == {name: EVERY[name].stack for name in rows}


def test_a_page_keeps_the_rows_of_others() -> None:
    first = filled(NEW_PAGE, [examined("b: locked"), examined("a: x | y", schedules=1_200, faults=7)])
    assert "| a: x \\| y | Go | simple | 5 | 1,200 | 7 | 61 |\n| b: locked | Go" in first
    bug = examined("b: no lock", is_bug=True, level=4, counterexample="two captured\nmore")
    second = filled(first, [bug, examined("b: locked", seconds=3.0), examined("c", problem="it ends")])
    assert [*rows_of(second)] == ["a: x | y", "b: locked", "b: no lock"]
    assert rows_of(second)["b: no lock"][3] == "fails 4: two captured"
    assert rows_of(second)["b: locked"][-1] == "3"
    told = (
        "two-keys: not linearizable\n\n  A  process 4  capture k2 5 -> captured  but payments answers paid\n"
    )
    third = filled(second, [msgspec.structs.replace(bug, counterexample=told)])
    said = "fails 4: two-keys: capture k2 5 -> captured but payments answers paid"
    assert rows_of(third)["b: no lock"][3] == said
    assert second.startswith("# Page\n\n<!-- made")
    assert second.endswith("<!-- end -->\n\nMore.\n")
    with pytest.raises(ValueError, match="no block that is made by"):
        filled("# Page\n", [])


def level(number: int, verdict: Verdict, told: str | None = None) -> LevelResult:
    check = CheckResult(
        name="x",
        kind="stress",
        cases=10 * number,
        verdict=verdict,
        seconds=1.0,
        details={},
        counterexample=told,
    )
    return LevelResult(number, verdict, (check,))


HELD = [level(number, "holds") for number in range(1, 6)]
FOUND = [level(4, "violated", "k1 is captured twice\nas a picture")]


@pytest.fixture
def examine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., ExaminedPeer]:
    peer = EVERY["charges: row lock"]

    @contextmanager
    def opened(*_arguments: Any, **_options: Any) -> Iterator[Examination]:
        yield ANY

    def run(results: Sequence[LevelResult], says: tuple[str, ...] = ()) -> ExaminedPeer:
        def tried(*_arguments: Any, **options: Any) -> None:
            assert options["levels"].start == (4 if says else 1)
            options["results"].extend(results)

        monkeypatch.setattr(stacks, "examination_of", opened)
        monkeypatch.setattr(stacks, "examine", tried)
        wanted = replace(peer, level=4 if says else 5, says=says)
        return examine_peer(wanted, sources="now", folder=tmp_path)

    return run


@pytest.mark.parametrize(
    ("results", "says", "problem"),
    [
        (HELD, (), None),
        (HELD[:3], (), "levels 4 and 5: no UUIDs"),
        (FOUND, (), "k1 is captured twice\nas a picture"),
        (FOUND, ("captured twice",), None),
        (FOUND, ("voided", "captured twice"), None),
        (FOUND, ("voided",), "its counterexample does not say 'voided':\nk1 is captured twice\nas a picture"),
        (HELD[3:4], ("captured twice",), "its bug is not found at level 4"),
        ([level(4, "no verdict", "it hangs")], ("captured twice",), "it hangs"),
    ],
)
def test_what_is_not_as_the_file_says_is_a_problem(
    examine: Callable[..., ExaminedPeer],
    results: Sequence[LevelResult],
    says: tuple[str, ...],
    problem: str | None,
) -> None:
    assert examine(results, says).problem == problem


def test_what_was_tried_is_counted(examine: Callable[..., ExaminedPeer]) -> None:
    found = examine(HELD)
    assert (found.level, found.schedules, found.faults, found.is_bug) == (5, 40, 50, False)
    found = examine(FOUND, "captured twice")
    assert (found.level, found.schedules, found.is_bug) == (4, 40, True)


def test_what_is_not_explored_is_left_out_and_named() -> None:
    peer = replace(EVERY["charges: row lock"], without=("three-captures",))
    every = replace(ANY, scenarios=list(SCENARIOS.values()))
    assert [each.name for each in peer.explored(every).scenarios] == [
        name for name in SCENARIOS if name != "three-captures"
    ]
    only = replace(peer, scenario="different-keys").explored(every).scenarios
    assert [each.name for each in only] == ["different-keys"]
    page = filled(NEW_PAGE, [examined("a", without=["three-captures", "four-captures"])])
    assert rows_of(page)["a"][3] == "5, without three-captures and four-captures"


@pytest.mark.parametrize("name", [name for name, peer in EVERY.items() if peer.without])
def test_the_scenarios_that_a_peer_leaves_out_are_there(name: str) -> None:
    assert {*EVERY[name].without} <= SCENARIOS.keys()


def run_lab(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["peers", *arguments])
    return done.exit_code, done.output


def test_a_call_goes_on_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried: list[str] = []

    def found(peer: Peer, *, sources: str, **_rest: Any) -> ExaminedPeer:
        tried.append(peer.name)
        problem = "it hangs" if peer.name in problems else None
        return examined(peer.name, sources=sources, stack=peer.stack, problem=problem)

    monkeypatch.setattr(import_module("lab.cli.peers"), "examine_peer", found)
    page = tmp_path / "page.md"
    page.write_text(NEW_PAGE)
    options = [str(PEERS), "--only", "charges: row lock, ", "--output", str(tmp_path), "--page", str(page)]
    names = [name for name in EVERY if "charges: row lock, " in name]
    problems = names[:1]
    code, output = run_lab(*options)
    assert (code, tried) == (1, names), output
    assert "not as it should be:\nit hangs" in output
    assert run_lab(*options, "--table")[0] == 0
    assert [*rows_of(page.read_text())] == sorted(names[1:])
    problems = []
    code, output = run_lab(*options)
    assert (code, tried) == (0, [*names, names[0]]), output
    assert run_lab(*options, "--table")[0] == 0
    assert [*rows_of(page.read_text())] == sorted(names)
    assert run_lab(*options, "--again")[0] == 0
    assert tried[-len(names) :] == names


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("go", ["go: pgx", "go: lib/pq"]),
        ("go: pgx", ["go: pgx"]),
        ("jang", ["django: row lock"]),
        (": ", ["go: pgx", "go: lib/pq", "django: row lock"]),
        ("", ["go: pgx", "go: lib/pq", "django: row lock", "ours"]),
        ("ours", ["ours"]),
        ("nobody", []),
    ],
)
def test_a_whole_name_comes_before_a_part_of_one(text: str, meant: list[str]) -> None:
    names = ["go: pgx", "go: lib/pq", "django: row lock", "ours"]
    assert names_meant(text, names) == meant


def test_one_that_does_not_start_keeps_no_other_from_being_examined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[str] = []

    def found(peer: Peer, *, sources: str, **_rest: Any) -> ExaminedPeer:
        tried.append(peer.name)
        if len(tried) == 1:
            raise CommandError("the service ended")
        return examined(peer.name, sources=sources, stack=peer.stack)

    monkeypatch.setattr(import_module("lab.cli.peers"), "examine_peer", found)
    options = [str(PEERS), "--only", "charges: row lock, ", "--output", str(tmp_path)]
    code, output = run_lab(*options)
    assert (code, tried) == (2, [name for name in EVERY if "charges: row lock, " in name]), output
    assert "the service ended" in output
    assert run_lab(*options)[0] == 0
    assert tried[-1] == tried[0]


def test_what_the_machine_lacks_is_named(tmp_path: Path) -> None:
    place = tmp_path / "peers" / "other"
    place.mkdir(parents=True)
    (place / PEER_FILE).write_text(
        'stack = "Other"\ncommand = "x"\nneeds = ["no-such-program-at-all"]\n'
        '[[right]]\nname = "it"\nlevel = 5\n'
    )
    (place / "binding.toml").write_text((PEERS / "charges" / "binding.toml").read_text())
    code, output = run_lab(str(place.parent), "--output", str(tmp_path))
    assert (code, output) == (2, "left out: other: it: no-such-program-at-all is not there\n")
    code, output = run_lab(str(place.parent), "--output", str(tmp_path), "--only", "nobody")
    assert code == 2
    assert "has no folder with a peer.toml and 'nobody' in its name" in output
    (tmp_path / "results.jsonl").write_text("{}\n")
    assert run_lab(str(place.parent), "--output", str(tmp_path))[0] == 2


@pytest.mark.parametrize("problem", [None, "it hung"])
def test_what_other_code_said_is_not_told_where_a_tool_is_missing(
    problem: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "charges: row lock, "
    lacking = [replace(each, lacks="node") for each in EVERY.values() if name in each.name]
    monkeypatch.setattr(import_module("lab.cli.peers"), "every_peer_in", lambda _folder: lacking)
    lines = [msgspec.json.encode(examined(each.name, problem=problem)) for each in lacking]
    (tmp_path / "results.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    code, output = run_lab(str(PEERS), "--only", name, "--output", str(tmp_path))
    assert (code, "node is not there" in output) == (2, True), output
