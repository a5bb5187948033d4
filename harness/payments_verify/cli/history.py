"""`payments-verify history`: check recorded histories for linearizability."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from payments_verify.cli.ends import keep_finished, tell_end, write_or_tell
from payments_verify.cli.exits import leave
from payments_verify.cli.history_files import files_of, is_long
from payments_verify.cli.progress import progress_bar
from payments_verify.cli.side_by_side import each_in_order
from payments_verify.cli.telling import print_json, say
from payments_verify.specs import SPECS, spec_named
from pgweave.history.attempt import Attempt, attempt_of
from pgweave.history.explain import explain
from pgweave.history.formats import FORMATS, SUFFIXES, load
from pgweave.history.linearizability import DEFAULT_MAX_ENTRIES, Result, check
from pgweave.history.operations import History, HistoryError
from pgweave.history.spec import Spec, SpecError
from pgweave.verdict import Verdict, worst
from pgweave.visible import escaped

AUTO = "auto"


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found for one file; an element of the list that `--json` prints.

    Attributes:
        file: The file, as given.
        verdict: The verdict.
        seconds: How long reading and checking took.
        spec: The specification.
        format: The format of the file.
        operations: How many operations it has.
        parts: How many independent parts the specification splits it into.
        configurations: How many configurations the search entered.
        reason: Why there is no verdict.
        explanation: How far the attempt to linearize it came, if it is violated.
    """

    file: str
    verdict: Verdict
    seconds: float
    spec: str | None = None
    format: str | None = None
    operations: int = 0
    parts: int = 0
    configurations: int = 0
    reason: str | None = None
    explanation: Attempt | None = None


def _one_of(*names: str) -> Callable[[str | None], str | None]:
    def checked(value: str | None) -> str | None:
        if value is not None and value not in names:
            raise typer.BadParameter(f"{value!r} is none of {', '.join(names)}")
        return value

    return checked


def history(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="History files, and folders with histories.", show_default=False),
    ],
    spec: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(sorted(SPECS)),
            callback=_one_of(*SPECS),
            help="The specification. If left out, the one that the file's header or format names.",
            show_default=False,
        ),
    ] = None,
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="|".join((AUTO, *FORMATS)),
            callback=_one_of(AUTO, *FORMATS),
            help="The format of the files; auto tells by the content.",
        ),
    ] = AUTO,
    budget: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Give up without a verdict after this time, for each file."),
    ] = 60.0,
    memory: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Give up without a verdict above N remembered configurations (about 250 bytes each).",
        ),
    ] = DEFAULT_MAX_ENTRIES,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="PAGE",
            show_default=False,
            help="Draw the histories, and write them as one page that loads nothing.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of {file, verdict, seconds, ...} and nothing else.")
    ] = False,
) -> None:
    """Check recorded histories for linearizability; those of a folder, too.

    Prints FILE: holds, violated or no verdict (seconds). If it is violated it says why: a longest
    linearizable prefix, and what the specification would have answered next.

    Exit codes: 0 all hold; 1 one is violated; 2 no verdict on one, or it could not be read, and no violation.
    """
    paths = [found for path in files for found in files_of(path)]
    if not budget > 0:
        raise typer.BadParameter(f"{budget} is not a positive number of seconds", param_hint="--budget")
    reports: list[FileReport] = []
    drawn: list[_Examined] = []
    examine = partial(
        _examined,
        spec_name=spec,
        format_name=None if format_name == AUTO else format_name,
        budget=budget,
        memory=memory,
        is_drawn=html is not None,
    )
    with (
        keep_finished(lambda: worst(each.verdict for each in reports)) as whole,
        progress_bar("history") as progress,
    ):
        progress(0, len(paths), paths[0].name)
        with closing(each_in_order(examine, paths, is_long)) as found:
            for done, (path, each) in enumerate(zip(paths, found, strict=True), 1):
                reports.append(each.report)
                drawn.append(each)
                if not as_json:
                    _print(each.report)
                if each.ended is not None:
                    raise each.ended
                progress(done, len(paths), path.name)
    page = None if html is None else write_or_tell(partial(_write, html, drawn))
    if as_json:
        print_json(reports)
    leave(worst(report.verdict for report in reports), is_whole=page == html and whole())


@dataclass(frozen=True)
class _Checked:
    spec: Spec[Any]
    loaded: History
    result: Result[Any]


@dataclass(frozen=True)
class _Examined:
    """What came of a file; what ended the examination, if its verdict could not be explained or drawn."""

    report: FileReport
    attempts: tuple[Attempt, ...] = ()
    ended: BaseException | None = None


def _examined(
    path: Path, *, spec_name: str | None, format_name: str | None, budget: float, memory: int, is_drawn: bool
) -> _Examined:
    report, checked = _report(path, spec_name, format_name, budget, memory)
    if checked is None:
        return _Examined(report)
    try:
        if checked.result.refuted is not None:
            why = attempt_of(checked.spec, checked.result.refuted, checked.loaded.operations)
            return _Examined(msgspec.structs.replace(report, explanation=why), (why,))
        return _Examined(report, _linearizations(checked) if is_drawn else ())
    except BaseException as error:  # noqa: BLE001 - a violation is said, whatever keeps it from being explained
        return _Examined(report, ended=error)


def _report(
    path: Path, spec_name: str | None, format_name: str | None, budget: float, memory: int
) -> tuple[FileReport, _Checked | None]:
    started = time.monotonic()
    name = escaped(str(path))
    lines: Sequence[int] = ()
    try:
        loaded = load(path, format_name)
        lines = loaded.lines
        spec = _spec_for(loaded, spec_name)
        result = check(spec, loaded.operations, budget_seconds=budget, max_entries=memory)
    except HistoryError as error:
        reason = str(error)
    except SpecError as error:
        reason = f"{name}: {error}" if error.event is None else f"{name}:{lines[error.event]}: {error}"
    except OSError as error:
        reason = f"{name}: cannot be read: {error.strerror}"
        if path.is_dir():
            reason = f"{name}: no history is found in it; their names end in {', '.join(SUFFIXES)}"
    except Exception as error:  # noqa: BLE001 - the other files have verdicts of their own
        reason = f"{name}: {tell_end(error)}"
    else:
        checked = _Checked(spec, loaded, result)
        return _found(name, time.monotonic() - started, checked), checked
    reason = escaped(reason)
    seconds = round(time.monotonic() - started, 6)
    return FileReport(file=name, verdict="no verdict", seconds=seconds, reason=reason), None


def _linearizations(checked: _Checked) -> tuple[Attempt, ...]:
    """What is drawn of a history that is not refuted: its first parts, if it is decided."""
    from payments_verify.report.history_page import MOST_DRAWN  # noqa: PLC0415 - as in `_write`

    spec, loaded, result = checked.spec, checked.loaded, checked.result
    decided = result.parts if result.verdict == "holds" else ()
    return tuple(attempt_of(spec, part, loaded.operations) for part in decided[:MOST_DRAWN])


def _write(page: Path, examined: Sequence[_Examined]) -> Path:
    # In here, since what draws a page takes as long to import as the rest.
    from payments_verify.report.history_page import Drawn, make_history_page  # noqa: PLC0415

    drawn = [
        Drawn(
            file=each.report.file,
            verdict=each.report.verdict,
            seconds=each.report.seconds,
            spec=each.report.spec,
            operations=each.report.operations,
            parts=each.report.parts,
            reason=each.report.reason,
            attempts=each.attempts,
        )
        for each in examined
    ]
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make_history_page(drawn), encoding="utf-8")
    except OSError as error:
        raise OSError(f"{page}: cannot be written: {error.strerror}") from error
    say(f"drawn: {page}", err=True)
    return page


def _spec_for(loaded: History, name: str | None) -> Spec[Any]:
    wanted = name or loaded.spec
    if wanted is None:
        raise SpecError("the file does not name its specification; give one with --spec")
    return spec_named(wanted)


def _found(name: str, seconds: float, checked: _Checked) -> FileReport:
    result = checked.result
    return FileReport(
        file=name,
        verdict=result.verdict,
        seconds=round(seconds, 6),
        spec=checked.spec.name,
        format=checked.loaded.format,
        operations=len(checked.loaded.operations),
        parts=len(result.parts),
        configurations=sum(part.configurations for part in result.parts),
        reason=result.reason or None,
    )


def _print(report: FileReport) -> None:
    if report.spec is None:
        say(f"error: {report.reason}", err=True)
        return
    say(f"{report.file}: {report.verdict} ({report.seconds:.3f} s)")
    if report.reason:
        say(f"  {report.reason}")
    if report.explanation:
        say("\n" + "\n".join(f"  {line}".rstrip() for line in explain(report.explanation).split("\n")))
        say("")
