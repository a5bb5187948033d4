"""The page of a report: a pure function of what was saved."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from payments_verify.called import command_line
from payments_verify.report import kill_matrix, kills, model, overview, tried
from payments_verify.report.saved import PAGE_FILE, REPORT_FILE, ReportError, Saved, read
from pgweave.timeline import html as schedule_page
from pgweave.timeline.markup import Element, document, tag

_FILES = resources.files(__package__)


def _file(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="utf-8")


STYLE = schedule_page.STYLE + _file("report.css") + kill_matrix.STYLE
SCRIPT = schedule_page.SCRIPT + _file("attempt.js")

_SECTIONS: tuple[Callable[[Saved], Element | None], ...] = (
    overview.checks,
    overview.reaches,
    overview.violations,
    model.contracts,
    model.state_graph,
    tried.interleavings,
    tried.coverage,
    kills.kills,
    tried.faults,
    tried.histories,
)


def make_page(report: Saved) -> str:
    """Make the page.

    Args:
        report: What was saved.

    Returns:
        An HTML document that loads nothing.
    """
    sections = [made for make in _SECTIONS if (made := make(report)) is not None]
    links = [tag("a", each.get("aria-label", ""), href=f"#{each.get('id')}") for each in sections]
    body = [
        tag("header", *overview.heading(report)),
        tag("nav", links, aria_label="sections"),
        *sections,
        tag(
            "footer",
            "The same commands again: ",
            tag(
                "code", command_line("verify", *(["--quick"] if report.quick else []), "--seed", report.seed)
            ),
            ". This page again, from what was saved: ",
            tag("code", command_line("report")),
            ".",
        ),
    ]
    return document(f"{report.verdict} — payments-core", body, STYLE, SCRIPT)


def write(folder: Path) -> Path:
    """Make the page of a folder from what is saved there.

    Args:
        folder: Where ``report.json`` is.

    Returns:
        The page's file.

    Raises:
        ReportError: There is no report, or it has not what a report has.
        OSError: The page cannot be written.
    """
    report = read(folder)
    try:
        text = make_page(report)
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ReportError(
            f"{folder / REPORT_FILE}: what it has is not understood ({problem}); run `make verify` again"
        ) from error
    page = folder / PAGE_FILE
    page.write_text(text, encoding="utf-8")
    return page
