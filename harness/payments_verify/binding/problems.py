"""What is wrong with a binding file that has every section in its form: the key, and the complaint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from payments_verify.binding.limits import limit_problems
from payments_verify.binding.sections import (
    FAIL_REASONS,
    AnswerSection,
    Binding,
    Clock,
    CommandBinding,
    RequestSection,
    SetUp,
    Sweep,
)
from payments_verify.binding.values import read_rfc3339
from payments_verify.binding.variables import DATABASE_PARTS, texts
from payments_verify.binding.views import AttemptsView, Flag
from payments_verify.payments.inputs.classes import DAY, EPOCH
from payments_verify.payments.observed.observations import (
    FIELDS_OF_STATE,
    IN_PROGRESS,
    OUTCOME_NAMED,
    OUTCOME_NAMES,
    REASONS,
)

FORMAT_NAME = "payments-verify-binding"
FORMAT_VERSION = 1

_PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "create": frozenset({"payment", "amount", "window"}),
    "authorize": frozenset({"payment", "window"}),
    "capture": frozenset({"payment", "key", "amount"}),
    "fail": frozenset({"payment", "reason"}),
    "read": frozenset({"payment"}),
    "attempts": frozenset({"payment"}),
}

_FORM_PARTS = frozenset({"uuid", "hex", "number"})
"""The placeholders of ids and keys of a form."""

_REQUIRED = ("create", "capture", "read")
_SUCCESS = {
    "create": "created",
    "authorize": "authorized",
    "capture": "captured",
    "fail": "failed",
    "read": "read",
    "attempts": "read",
}
_LONGEST_SWEEP_S = 3_600
_VARIABLE = re.compile(r"\$\{\w+\}")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_MAY_HAVE_BRACES = re.compile(
    r"name$|service\.(environment|headers)\.|(commands\.\w+|setup\[\d+\])\.(request|headers|body)\b|(sweep|lock|clock)\."
    r"|(ids|keys)\.form$|limits\.keys$|attempts\.next_request$"
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Problems: TypeAlias = Iterator[tuple[str, str]]
"""The key of a file that is wrong, and what is wrong with it."""


def problems_of(binding: Binding) -> Problems:
    """What is wrong with a binding, if anything is."""
    if (binding.format, binding.version) != (FORMAT_NAME, FORMAT_VERSION):
        yield "format, version", f"must be {FORMAT_NAME!r} and {FORMAT_VERSION}"
    authorizes = "create" in binding.commands and binding.commands["create"].authorizes
    if authorizes == ("authorize" in binding.commands):
        yield "commands.authorize", "is there if, and only if, commands.create.authorizes is not true"
    for f in _REQUIRED:
        if f not in binding.commands:
            yield f"commands.{f}", "is missing; without it nothing can be checked"
    for f, command in binding.commands.items():
        if f not in _PLACEHOLDERS:
            yield f"commands.{f}", f"is no command; there are {', '.join(_PLACEHOLDERS)}"
        else:
            yield from _command_problems(f, command, _saved(binding, f))
    yield from _answer_problems("answers", binding.answers)
    yield from _named(binding.payment.states, FIELDS_OF_STATE, "payment.states")
    yield from _named(binding.payment.reasons, REASONS, "payment.reasons")
    yield from _set_up_problems(binding.setup)
    for f in binding.commands:
        if _SUCCESS[f] not in binding.outcomes_of(f):
            yield f"commands.{f}.answers", f"no answer has the outcome {_SUCCESS[f]!r}"
    yield from _view_problems(binding)


def unfilled_placeholders(content: Mapping[str, Any]) -> Problems:
    """The placeholders that stand where nothing is filled in, before variables have their values."""
    for key, text in texts(content):
        found = _PLACEHOLDER.search(_VARIABLE.sub("", text))
        if found is not None and _MAY_HAVE_BRACES.match(key) is None:
            told = "is filled in requests alone; `where` can say { exists = true } of a member"
            yield key, f"{found[0]} {told}"


def _view_problems(binding: Binding) -> Problems:
    if not binding.commands["read"].shows_payment:
        yield "commands.read.shows_payment", "must be true: what is stored is seen by reading"
    yield from _form_problems(binding)
    yield from _lease_problems(binding)
    yield from limit_problems(binding)
    if binding.ids.chosen_by == "service" and binding.commands["create"].id is None:
        yield "commands.create.id", "is missing: where the service chooses ids, the answer has it there"
    if ("attempts" in binding.commands) != (binding.attempts is not None):
        yield "attempts", "the section and commands.attempts belong together: have both, or neither"
    if binding.attempts is not None:
        yield from _named(binding.attempts.outcomes, OUTCOME_NAMED, "attempts.outcomes")
        yield from _paging_problems(binding.attempts)
    yield from _control_problems(binding)
    for name, template in binding.service.environment.items():
        yield from _unknown_placeholders(f"service.environment.{name}", template, DATABASE_PARTS)


def _lease_problems(binding: Binding) -> Problems:
    if binding.in_progress is None:
        return
    if not 0 < binding.in_progress.lease <= _LONGEST_SWEEP_S:
        yield "in_progress.lease", f"is no number of seconds up to {_LONGEST_SWEEP_S}"
    if IN_PROGRESS not in binding.outcomes_of("capture"):
        yield "in_progress.lease", f"belongs to an answer with the outcome {IN_PROGRESS!r}"


def _form_problems(binding: Binding) -> Problems:
    """What is wrong with how ids, keys and repeated answers look."""
    if binding.capture.replayed is not None:
        yield from _flag_problems(binding.capture.replayed)
        if binding.capture.replayed.member is not None and binding.capture.body == "same bytes":
            yield "capture.body", "must be 'not compared' where a member of it says that it is repeated"
    for name, form in (("ids", binding.ids.form), ("keys", binding.keys.form)):
        yield from _unknown_placeholders(f"{name}.form", form or "", _FORM_PARTS)
        if form is not None and "{" not in form:
            yield f"{name}.form", f"must have one of {', '.join(sorted(_FORM_PARTS))}: each is another one"
    if binding.ids.form is not None and binding.ids.kind == "uuid":
        yield "ids.form", "belongs to ids.kind = 'integer' or 'text'"


def _flag_problems(flag: Flag) -> Problems:
    """What is wrong with where a repeated answer says that it is one: it could never say so."""
    if (flag.header is None) == (flag.member is None):
        yield "capture.replayed", "needs one of header and member"
    if flag.header is not None and _HEADER_NAME.fullmatch(flag.header) is None:
        yield "capture.replayed.header", f"{flag.header!r} is no name of a header field"
    if flag.header is not None and _HEADER_VALUE.fullmatch(flag.text) is None:
        yield "capture.replayed.value", f"{flag.value!r} is nothing that a header field can have"
    if flag.member is not None and flag.value != flag.value:
        yield "capture.replayed.value", f"{flag.value!r} is nothing that a member can have"


def _paging_problems(view: AttemptsView) -> Problems:
    if (view.next is None) != (view.next_request is None):
        yield "attempts.next_request", "and attempts.next belong together: have both, or neither"
    elif view.next_request is not None:
        known = _PLACEHOLDERS["attempts"] | {"next"}
        yield from _request_problems("attempts.next_request", view.next_request, known)
        if "{next}" not in view.next_request:
            yield "attempts.next_request", "must have {next}, where the place of the next page goes"


def _control_problems(binding: Binding) -> Problems:
    """What is wrong with the sections by which the harness moves time, sweeps and locks."""
    yield from _sweep_problems(binding.sweep, binding.clock, _saved_at_first(binding))
    for name, text in binding.service.headers.items():
        yield from _unknown_placeholders(f"service.headers.{name}", text, _saved_at_first(binding))
    if (binding.clock.by == "sql") != (binding.clock.set is not None):
        yield "clock.set", "belongs to by = 'sql', and to nothing else"
    yield from _end_of_time_problems(binding)
    if binding.clock.set is not None and binding.clock.set.count("{now}") != 1:
        yield "clock.set", "must have {now}, once, where the instant goes"
    locking = {} if binding.lock is None else {"hold": binding.lock.hold, "void": binding.lock.void}
    for name, statement in locking.items():
        if statement is not None and statement.count("{payment}") != 1:
            yield f"lock.{name}", "must have {payment}, once, where the id goes"


def _sweep_problems(sweep: Sweep | None, clock: Clock, saved: frozenset[str]) -> Problems:
    if sweep is None:
        return
    if sweep.ways > 1 or (sweep.ways == 0 and sweep.within is None):
        yield "sweep", "needs one of request, sql and command, or within"
    if sweep.within is not None and not 0 < sweep.within <= _LONGEST_SWEEP_S:
        yield "sweep.within", f"is no number of seconds up to {_LONGEST_SWEEP_S}"
    if sweep.within is not None and clock.by == "sql":
        yield "sweep.within", "is real time, and clock.by = 'sql' moves it: use clock.by = 'none'"
    if sweep.request is not None:
        yield from _placeholder_problems("sweep", sweep.asked, saved)
    for name in ("body", "headers", "answers"):
        if sweep.request is None and getattr(sweep, name):
            yield f"sweep.{name}", "belongs to sweep.request"


def _end_of_time_problems(binding: Binding) -> Problems:
    if binding.clock.until is None:
        return
    try:
        until = read_rfc3339(binding.clock.until)
    except (ValueError, TypeError):
        yield "clock.until", f"{binding.clock.until!r} is no instant, as in '2038-01-19T03:14:07Z'"
        return
    if until < EPOCH + 366 * DAY:
        yield "clock.until", "must be 2031-03-20 at least: the harness sets the clock to 2030, and goes on"


def _saved(binding: Binding, f: str) -> frozenset[str]:
    """The placeholders of a command: its own, and what was noted before it."""
    return _PLACEHOLDERS[f].union(*(each.save for each in binding.setup))


def _saved_at_first(binding: Binding) -> frozenset[str]:
    """What is noted before everything: all that is not of one payment."""
    return frozenset().union(*(each.save for each in binding.setup if each.before == "everything"))


def _set_up_problems(steps: list[SetUp]) -> Problems:
    known: frozenset[str] = frozenset()
    for number, step in enumerate(steps):
        yield from _placeholder_problems(f"setup[{number}]", step, known)
        known |= step.save.keys()
        for name in sorted(step.save.keys() & frozenset().union(*_PLACEHOLDERS.values())):
            yield f"setup[{number}].save.{name}", "is the name of what commands have themselves"


def _placeholder_problems(key: str, request: RequestSection, known: frozenset[str]) -> Problems:
    yield from _request_problems(f"{key}.request", request.request, known)
    for where, text in texts(request.body, f"{key}.body"):
        yield from _unknown_placeholders(where, text, known)
    for header, text in request.headers.items():
        yield from _unknown_placeholders(f"{key}.headers.{header}", text, known)


def _command_problems(f: str, command: CommandBinding, known: frozenset[str]) -> Problems:
    yield from _placeholder_problems(f"commands.{f}", command, known)
    yield from _answer_problems(f"commands.{f}.answers", command.answers)
    if f != "capture" and any(IN_PROGRESS in answer.outcomes for answer in command.answers):
        yield f"commands.{f}.answers", f"only a capture has a key, and can be answered {IN_PROGRESS!r}"
    for reason in command.reasons:
        if reason not in FAIL_REASONS:
            yield f"commands.{f}.reasons", f"{reason!r} is none of {', '.join(FAIL_REASONS)}"
    if not command.reasons:
        yield f"commands.{f}.reasons", "must name one at least"


def _request_problems(key: str, request: str, known: frozenset[str]) -> Problems:
    method, _, path = request.partition(" ")
    if method not in _METHODS or not path.startswith("/"):
        yield key, f"must be a method and a path, as in 'POST /payments', and is {request!r}"
    yield from _unknown_placeholders(key, path, known)


def _answer_problems(key: str, answers: list[AnswerSection]) -> Problems:
    for number, answer in enumerate(answers):
        for outcome in answer.outcomes:
            if outcome not in OUTCOME_NAMES:
                known = ", ".join(OUTCOME_NAMES)
                yield f"{key}[{number}].outcome", f"no outcome is named {outcome!r}; there are {known}"
        if not answer.outcomes:
            yield f"{key}[{number}].outcome", "must name one at least"
        if not 200 <= answer.status < 500:
            yield f"{key}[{number}].status", "must be 200 to 499: a 5xx is no definite answer"


def _named(names: Mapping[str, str], known: Iterable[str], key: str) -> Problems:
    for theirs, ours in names.items():
        if ours not in known:
            turned = f'; the service\'s word comes first: {ours} = "{theirs}"' if theirs in known else ""
            yield f"{key}.{theirs}", f"{ours!r} is none of {', '.join(known)}{turned}"


def _unknown_placeholders(key: str, text: str, known: frozenset[str]) -> Problems:
    for part in _VARIABLE.sub("", text).split("{")[1:]:
        name = part.partition("}")[0]
        if not part[:1].isspace() and ("}" not in part or name not in known):
            yield key, f"{{{name}}} is no placeholder here; there are {', '.join(sorted(known)) or 'none'}"
