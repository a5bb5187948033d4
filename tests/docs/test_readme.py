"""README.md and the pages it leads to say what the tools do: their examples are run, their names compared."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_core.entrypoints.http.app import create_app
from payments_verify.cli import app
from payments_verify.cli.verify import make_report
from payments_verify.payments.specification.spec import Payments
from payments_verify.result import CheckResult
from payments_verify.suite import QUICK, suite
from payments_verify.systems.memory_store import InMemoryPaymentStore
from payments_verify.systems.server import server_process
from pgweave.history.json_lines import parse
from pgweave.history.linearizability import check
from pgweave.verdict import Verdict
from tests.docs.pages import COMMANDS, HISTORIES, README, REPORT, ROOT, SERVICE, blocks, names, rows, section
from tests.support import lines_to_try
from tests.support.misbehaving import Behaviour, Front
from tests.support.postgres import Database
from tests.support.stores import NOON
from tests.support.threads import served

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "specs").rglob("*.md"))]
HOLDS = CheckResult("a check", "contracts", 1, "holds", 0.0)


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block that shows a terminal, each with what it printed."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def without_times(text: str) -> str:
    return re.sub(r"\(\d+\.\d{3} s\)", "(TIME)", text).strip()


@pytest.mark.parametrize("block", blocks(README + HISTORIES, "console"), ids=["README", "naive", "locked"])
def test_the_tool_prints_what_is_shown(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (command, shown), (status, shown_code) = commands(block)
    program, *arguments = command.split()
    assert (program, status) == (".venv/bin/payments-verify", "echo $?")
    result = CliRunner().invoke(app, arguments)
    assert without_times(result.stdout) == without_times(shown)
    assert result.exit_code == int(shown_code)


def test_only_times_may_differ() -> None:
    assert without_times("h: holds (0.001 s)") == without_times("h: holds (12.345 s)\n")
    assert without_times("h: holds (0.001 s)") != without_times("h: violated (0.001 s)")


def test_the_history_to_copy_is_one_that_a_correct_service_can_have() -> None:
    (example,) = blocks(HISTORIES, "json")
    assert verdict_on(example) == "holds"
    both = example.replace(
        '{"type": "unknown", "process": 1, "f": "capture"}',
        '{"type": "ok", "process": 1, "f": "capture", "value": {"outcome": "captured"}}',
    )
    assert verdict_on(both) == "violated"


def verdict_on(text: str) -> Verdict:
    return check(Payments(), parse(text.encode(), "checking-histories.md").operations).verdict


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, which the lines call, is not installed")
def test_the_lines_to_try_do_what_their_comments_say(database: Database) -> None:
    assert lines_to_try.complaint(asyncio.run(run_lines(database.dsn))) is None


def test_lines_that_do_something_else_are_noticed() -> None:
    right = "key 1: 201\n" + "".join(f"key {n}: 409\n" for n in range(2, 11))
    right += 'idempotent-replayed: true\n{"state":"captured"}' + '"outcome":"already_captured"' * 9
    assert lines_to_try.complaint(right) is None
    for old, new in (("409", "201"), ("409", "503"), ("idempotent", "other"), ("captured", "failed")):
        assert lines_to_try.complaint(right.replace(old, new, 1)) is not None


async def run_lines(dsn: str) -> str:
    async with server_process(dsn) as url:
        return await asyncio.to_thread(lines_to_try.run, url)


def test_the_clients_example_captures_and_says_so_if_it_may_not(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks(SERVICE, "python")
    assert "http://127.0.0.1:8000" in example
    store = InMemoryPaymentStore(lambda: NOON)
    with served(create_app(store)) as url, Front.before(url) as front:
        program = example.replace("http://127.0.0.1:8000", front.url)
        exec(compile(program, "service.md", "exec"), {})
        assert capsys.readouterr().out == "captured at 2026-01-01 00:00:00.000001+00:00\n"
        front.plan = [Behaviour.PASS, Behaviour.PASS, Behaviour.FORBIDDEN]
        exec(compile(program, "service.md", "exec"), {})
        assert capsys.readouterr().out == "no, for good: about:blank\n"


def test_the_reports_keys_are_all_explained() -> None:
    explained = section(REPORT, "## Keys")
    report = make_report([HOLDS], seed=1, quick=True, postgres="18", seconds=1.0)
    assert {*report, *report["machine"]} <= set(names(explained))
    table = {names(row[0])[0] for row in rows(explained) if row[0].startswith("`")}
    assert table == set(HOLDS.as_json())


def test_the_table_that_is_shown_has_as_many_scenarios_as_there_are() -> None:
    assert f"every interleaving, {len(QUICK.scenarios)} scenarios: in memory" in COMMANDS


def test_the_make_targets_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    documented = set(re.findall(r"^([a-z-]+):.*?## ", makefile, re.MULTILINE))
    shown = set(re.findall(r"^\| .*", section(COMMANDS, "## Make targets"), re.MULTILINE))
    assert {name for row in shown for name in re.findall(r"`make ([a-z-]+)", row)} == documented - {"help"}
    for page in (path.read_text() for path in PAGES):
        targets = [name for name in names(page) if name.startswith("make ")]
        everywhere = re.findall(r"\bmake ([a-z][a-z-]+)\b", "\n".join([*blocks(page, ""), *targets]))
        assert set(everywhere) <= documented


def test_every_decision_is_among_all_pages() -> None:
    page = (ROOT / "specs" / "README.md").read_text()
    listed = re.findall(r"^(\d+)\. \[[^]]*\]\(adr/(\S+)\)$", page, re.MULTILINE)
    assert [name for _, name in listed] == sorted(each.name for each in (ROOT / "specs" / "adr").glob("*.md"))
    assert [int(name[:4]) for _, name in listed] == [int(number) for number, _ in listed]


def test_the_sample_of_the_main_job_has_every_check() -> None:
    planned = [each.title.split()[0] for each in suite("no database", QUICK, 1, Path(), Path(), None)]
    (sample,) = (each for each in blocks(COMMANDS, "") if each.startswith("check "))
    checks = [
        line.split()[0].rstrip(":")
        for line in sample.splitlines()
        if re.search(r"\d  holds .* \d+\.\d$", line)
    ]
    proofs = len(planned) - planned[::-1].index("schema")
    assert (len(checks), checks[proofs:]) == (
        len(planned),
        planned[proofs:],
    )


def test_links_lead_somewhere() -> None:
    links = [
        (page, link) for page in PAGES for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    ]
    assert len(links) > 100
    assert [f"{page}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missed_headings(page: Path) -> list[str]:
    links = re.findall(r"\]\(([^)#:]*\.md|)#([^)]+)\)", page.read_text())
    return [
        f"{target}#{anchor}"
        for target, anchor in links
        if anchor not in anchors(page.parent / target if target else page)
    ]


def test_links_to_a_heading_lead_to_one() -> None:
    assert {page: missed for page in PAGES if (missed := missed_headings(page))} == {}


def test_a_heading_that_is_gone_is_missed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n## What it costs, and why\n[here](#one) [there](page.md#what-it-costs-and-why)")
    assert missed_headings(page) == []
    page.write_text("# One\n[there](page.md#what-it-costs-and-why)")
    assert missed_headings(page) == ["page.md#what-it-costs-and-why"]
