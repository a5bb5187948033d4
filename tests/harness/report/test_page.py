"""The page of a report: what it says is what was saved, it loads nothing, and nothing in it is markup."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from payments_verify.cli import app
from payments_verify.report.page import make_page, write
from payments_verify.report.saved import ReportError, of_json, read
from tests.harness.report.reading import Page
from tests.harness.report.saved_reports import check, green, mutants, red
from tests.pgweave.timeline.hostile import MARKUP

NAMESPACE = "http://www.w3.org/2000/svg"


def page_of(report: dict[str, Any]) -> tuple[str, Page]:
    text = make_page(of_json(report, "report.json"))
    return text, Page(text)


REPORTS: list[dict[str, Any]] = [
    green(),
    red(),
    red(MARKUP),
    {**green(), "mutants": mutants()},
    {**green(), "checks": []},
]
NAMES = ["green", "red", "hostile", "mutants", "empty"]
every_report = pytest.mark.parametrize("report", REPORTS, ids=NAMES)


@every_report
def test_it_is_one_file_that_loads_nothing(report: dict[str, Any]) -> None:
    text, page = page_of(report)
    assert page.loads == []
    policy = next(value for tag, name, value in page.attributes if (tag, name) == ("meta", "content"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")
    hosts = set(re.findall(r"https?://[^\"'\s<\\)]*", text.replace(MARKUP, "")))
    assert hosts <= {NAMESPACE}
    assert make_page(of_json(report, "report.json")) == text


@every_report
def test_every_link_leads_somewhere_and_every_id_is_there_once(report: dict[str, Any]) -> None:
    _, page = page_of(report)
    links = {value.removeprefix("#") for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert links <= set(page.ids)
    sections = Counter(page.ids)
    # Pictures of the same kind bring the same definitions.
    assert {name for name, times in sections.items() if times > 1} <= {"timeline-hatch", "timeline-tip"}


def test_what_would_load_something_is_seen() -> None:
    assert Page('<link href="https://x/y.css"><img src="x"><style>a{background:url(x)}</style>').loads
    assert Page('<a href="https://x">x</a>').loads
    assert not Page('<a href="#x">x</a><style>a{fill:url(#tip)}</style>').loads


def test_a_green_one_says_so() -> None:
    _, page = page_of(green())
    said = page.text
    for part in (
        "✓ holds 7 of 7 checks hold.",
        "2 of 2 contracts of the model are confirmed",
        "I1 a rule that is confirmed",
        "8,949",
        "capture: captured ×192",
        "1 of 1 scenario complete",
        "54 ≈ 12,000",
        "÷ 227.0",
        "bounded model 5 of 5 5,306",
        "stress: 2 server processes 1 of 5 28",
        "API killed 17",
        "Not run. make mutants",
        "payments-verify verify --quick --seed 580084",
        "build/report/histories/soak",
    ):
        assert part in said, part
    assert "violations" not in page.ids
    assert "Interrupted" not in said


def test_a_red_one_says_so_and_every_violation_has_its_timeline() -> None:
    text, page = page_of(red())
    assert "✗ violated 4 of 7 checks hold." in page.text
    assert [each for each in page.ids if each.startswith("violation-")] == [
        "violation-0",
        "violation-3",
        "violation-4",
    ]
    assert "1 of 2 contracts" in page.text
    assert "✗ refuted" in page.text
    for place, figures in ((0, 0), (3, 2), (4, 1)):
        article = text.split(f'id="violation-{place}"')[1].split("</article>")[0]
        assert article.count("<figure") == figures
        assert "not linearizable" in article
    assert page.text.count("The state is captured a=captured .") == 2
    assert page.text.count("capture b 1000 -> captured already_captured") == 2


def test_how_far_it_reaches_is_told_of_what_holds_alone() -> None:
    report = green()
    report["checks"].append(check("any number of clients", "proof", 740))
    _, page = page_of(report)
    assert "for all values; the protocol, statement by statement, for any number of clients" in page.text
    assert "every order in which" in page.text
    assert "Sampled : histories of clients that race" in page.text
    report["checks"][3]["scenarios"][0]["complete"] = False
    _, page = page_of(report)
    assert "every order in which" not in page.text
    for each in report["checks"]:
        each |= {"verdict": "no verdict", "counterexample": "CrossHair said nothing of it"}
    _, page = page_of(report)
    assert page.text.count("nothing that holds") == 3


def test_what_did_not_happen_does_not_hold() -> None:
    report = green()
    planned = ["API killed", "half sent", "slow network"]
    report["checks"][5]["reach"] = {
        "kinds": "kinds of fault",
        "planned": planned,
        "not_reached": ["half sent"],
    }
    _, page = page_of(report)
    assert "✓ holds for 2 of 3 kinds of fault; not reached: half sent" in page.text
    report["checks"][5]["reach"]["not_reached"] = []
    assert "not reached" not in page_of(report)[1].text


def test_an_interrupted_one_says_so() -> None:
    _, page = page_of({**green(), "interrupted": True, "verdict": "no verdict", "exit_code": 2})
    assert "? no verdict Interrupted: what was finished is here, the rest did not run." in page.text


def test_the_banner_of_a_report_that_did_not_reach_everything_says_so() -> None:
    report = green()
    report["checks"][-1]["reach"] = {"kinds": "kinds of fault", "planned": ["a", "b"], "not_reached": ["b"]}
    _, page = page_of(report)
    assert "✓ holds as far as it reached 7 of 7 checks hold." in page.text
    assert "holds for 1 of 2 kinds of fault; not reached: b" in page.text


def test_without_a_verdict_it_is_no_violation() -> None:
    report = {**green(), "exit_code": 2, "verdict": "no verdict"}
    report["checks"][0] |= {"verdict": "no verdict", "counterexample": "CrossHair said nothing of it"}
    _, page = page_of(report)
    assert "Without a verdict" in page.text
    assert "CrossHair said nothing of it" in page.text


def test_nothing_from_outside_becomes_markup() -> None:
    clean, hostile = page_of(red())[1], page_of(red(MARKUP))[1]
    assert hostile.text.count("<script>alert('x')</script>") > 5
    kinds = {"script", "style", "title", "main", "figure"}
    counted = [
        Counter(each for each in page.elements if each in kinds - {"title"}) for page in (clean, hostile)
    ]
    assert counted[0] == counted[1]
    assert not [name for _, name, _ in hostile.attributes if name.startswith("on")]


def test_the_kill_matrix_is_the_one_that_was_made() -> None:
    _, page = page_of({**green(), "mutants": mutants()})
    assert "killed 1 of 2 survivors an-edge-too-many" in page.text
    assert "made 2026-11-26T01:02:03+00:00 of the sources 0123456789abcdef" in page.text
    assert "no-row-lock: killed after 29 tries; 2 switches in the smallest counterexample" in page.text
    assert "29 · 1.5 s · 2" in page.text
    assert "no-row-lock what no-row-lock stands for killed" in page.text
    assert "an-edge-too-many what an-edge-too-many stands for survived" in page.text


def test_it_is_made_again_from_what_was_saved(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(red()))
    (tmp_path / "mutants.json").write_bytes(msgspec.json.encode(mutants()))
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    page = tmp_path / "index.html"
    assert result.stdout == f"written: {page}\n"
    assert page.read_text() == make_page(of_json({**red(), "mutants": mutants()}, ""))


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"format": "payments-verify-mutants"}'])
def test_a_matrix_that_cannot_be_read_is_said_and_the_rest_is_shown(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(green()))
    (tmp_path / "mutants.json").write_bytes(content)
    page = Page(write(tmp_path).read_text())
    assert "mutants.json cannot be shown: " in page.text
    assert "holds" in page.text


def test_a_report_without_what_a_page_needs_is_refused(tmp_path: Path) -> None:
    report = green()
    del report["checks"][5]["faults"][0]["lost"]
    (tmp_path / "report.json").write_bytes(msgspec.json.encode(report))
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "what it has is not understood (KeyError: 'lost'); run `make verify` again" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory; run `make verify` first"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "not a report; its format is not 'payments-verify-report'"),
        (b'{"format": "payments-verify-report", "version": 9}', "version 9 is not supported"),
        (b'{"format": "payments-verify-report", "version": 2}', "not a valid report"),
        (msgspec.json.encode({**green(), "checks": [1]}), "not a valid report"),
    ],
)
def test_what_is_no_report_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "report.json").write_bytes(content)
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith(f"payments-verify: {tmp_path / 'report.json'}: ")
    with pytest.raises(ReportError):
        read(tmp_path)


def test_the_page_says_how_often_each_class_of_inputs_was_reached_and_what_was_left_out() -> None:
    inputs = {"reached": {"keys: case": 7, "clock: <odd>": 0}, "left_out": {"windows: a day": "limits"}}
    text, _ = page_of(
        {**green(), "checks": [check("machine", "differential", 9, exercised=[], inputs=inputs)]}
    )
    assert "All 3 classes of inputs" in text
    assert all(each in text for each in ("keys: case", "clock: &lt;odd&gt;", "left out: limits"))
