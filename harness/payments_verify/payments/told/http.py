"""What went wrong, told as HTTP: lines for a shell, plain data, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from payments_verify.payments.observed.http_steps import HttpRun, HttpStep
from payments_verify.payments.told.drawings import Drawing, schedule
from pgweave.redaction import redacted, redacted_value
from pgweave.service.curl import CurlWriter
from pgweave.service.exchange import HttpExchange
from pgweave.timeline.model import Lane, StepKind, Timeline, TimelineOperation, TimelineStep
from pgweave.visible import clipped, one_line

_ANSWER_LENGTH = 400


def with_http(told: str, run: HttpRun) -> str:
    """What is told of a violation, and below it the requests, if there are any."""
    return f"{told}\n\n{shell_lines(run)}" if run else told


def http_details(run: HttpRun) -> dict[str, Any]:
    """The requests as part of a check's details; nothing if there are none."""
    return {"http": as_json(run)} if run else {}


def http_drawings(run: HttpRun, title: str) -> tuple[Drawing, ...]:
    """The requests for a page to draw."""
    return (schedule(timeline_of_requests(run, title)),) if run else ()


def shell_lines(run: HttpRun) -> str:
    """Lines for bash: each request after a comment that says whose it is, and before its answer.

    Those that overlapped are sent at once.
    """
    writer = _writer(run)
    races = any(_overlaps(step, run.steps) for step in run.steps if step.exchanges)
    chance = " What ends with & is sent at once, in an order that is left to chance." if races else ""
    signed = (
        f" What {run.signed_by} signed is right for this run alone; `replay` signs anew."
        if run.signed_by
        else ""
    )
    where = "URL is where the service runs"
    if len(writer.urls) > 1:
        where = (
            f"{', '.join(writer.urls.values())} are where its processes run, one after the other or at once"
        )
    heading = f"As HTTP, to be pasted into bash; {where}.{chance}{signed}"
    lines = [heading, "", *(f"{name}={base}" for base, name in writer.urls.items())]
    several = len({step.who for step in run.steps}) > 1
    under_way, waits = 0.0, False
    for number, step in enumerate(run.steps, 1):
        if waits and step.began >= under_way:
            lines.append("wait")
            waits = False
        at_once = _overlaps(step, run.steps)
        who = f"{step.who}: " if several else ""
        lines.append(f"# {number}  {who}{one_line(step.asked)}")
        for exchange in step.exchanges:
            is_sent_at_once = at_once and not writer.is_named(exchange)
            lines.append(writer.line(exchange) + (" &" if is_sent_at_once else ""))
            lines.append(f"#    answered {_answer(run, exchange)}")
            waits |= is_sent_at_once
            under_way = max(under_way, step.ended)
        if step.is_wrong:
            lines.append(f"#  ✗ {f'expected {step.expected}' if step.expected else 'this is what is wrong'}")
    return _hidden(run, "\n".join([*lines, *(["wait"] if waits else [])]))


def as_json(run: HttpRun) -> list[dict[str, Any]]:
    """The requests as plain data, with the line that sends each again."""
    writer = _writer(run)
    told = [
        {
            "step": number,
            "who": step.who,
            "asked": step.asked,
            "answered": step.answer,
            "wrong": step.is_wrong,
            "expected": step.expected if step.is_wrong else None,
            "method": exchange.method,
            "path": exchange.target,
            "headers": {name: _hidden(run, _text(value)) for name, value in exchange.headers},
            "body": _text(exchange.body),
            "status": exchange.status,
            "answer": exchange.answer,
            "curl": writer.line(exchange),
        }
        for number, step in enumerate(run.steps, 1)
        for exchange in step.exchanges
    ]
    shown: list[dict[str, Any]] = redacted_value(told, run.secrets)
    return shown


def _writer(run: HttpRun) -> CurlWriter:
    return CurlWriter([each for step in run.steps for each in step.exchanges], run.secrets)


def _hidden(run: HttpRun, shown: str) -> str:
    return redacted(shown, run.secrets)


def _overlaps(step: HttpStep, steps: Sequence[HttpStep]) -> bool:
    others = (each for each in steps if each is not step and each.exchanges)
    return any(each.began < step.ended and step.began < each.ended for each in others)


def _answer(run: HttpRun, exchange: HttpExchange) -> str:
    if exchange.status is None:
        return "nothing"
    return f"{exchange.status} {clipped(one_line(_hidden(run, exchange.answer)), _ANSWER_LENGTH)}".rstrip()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def timeline_of_requests(run: HttpRun, title: str) -> Timeline:
    """Draw the requests: who asked what, and who overlapped whom.

    Each request is a step of its lane; one that others overlap is two: it is sent, and it is answered. What
    the model has no answer to, as a movement of the clock, is a step alone.
    """
    steps = run.steps
    names = list(dict.fromkeys(step.who for step in steps))
    events = sorted(
        (at, number, which)
        for number, step in enumerate(steps)
        for which, at in enumerate((step.began, step.ended))
        if at < float("inf")
    )
    drawn: list[TimelineStep] = []
    spans: dict[int, list[int]] = {}
    for place, (_, number, which) in enumerate(events):
        step, lane = steps[number], names.index(steps[number].who)
        if which == 1 and events[place - 1][1] == number:
            drawn[-1] = TimelineStep(lane, _sent(run, step), _kind(step), answer=_heard(step))
        else:
            drawn.append(TimelineStep(lane, _heard(step) if which else _sent(run, step), _kind(step)))
        spans.setdefault(number, []).append(len(drawn) - 1)
    operations = tuple(
        TimelineOperation(
            lane=names.index(step.who),
            text=_hidden(run, step.asked),
            answer=_hidden(run, step.answer),
            expected=_hidden(run, step.expected) if step.is_wrong else None,
            first=spans[number][0],
            last=spans[number][-1] if step.ended < float("inf") else None,
            is_violation=step.is_wrong,
        )
        for number, step in enumerate(steps)
        if step.answer or step.is_wrong or (step.exchanges and step.exchanges[-1].status is None)
    )
    wrong = [spans[number][-1] for number, step in enumerate(steps) if step.is_wrong]
    parts_at = wrong[0] if wrong else None
    return Timeline(title, "", tuple(map(Lane, names)), tuple(drawn), operations, parts_at=parts_at)


def _sent(run: HttpRun, step: HttpStep) -> str:
    requests = (f"{each.method} {_hidden(run, each.target)}" for each in step.exchanges)
    return "; ".join(requests) or _hidden(run, step.asked)


def _kind(step: HttpStep) -> StepKind:
    return "other" if step.exchanges or not step.asked.startswith(("clock", "set to")) else "clock"


def _heard(step: HttpStep) -> str:
    return "; ".join(str(each.status or "no answer") for each in step.exchanges)
