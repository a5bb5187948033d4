"""Binding files: how another service's HTTP interface says what the model says.

A TOML file with the sections below, each documented in ``default_binding.toml``, which binds the interface of
this repository's own service. What a service lacks is left out, and is then not checked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec

from payments_model import MAX_AMOUNT, Outcome
from payments_verify.payments.traits import MALFORMED_AMOUNTS

FORMAT_NAME = "payments-verify-binding"
FORMAT_VERSION = 1

PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "create": frozenset({"payment", "amount"}),
    "authorize": frozenset({"payment", "window"}),
    "capture": frozenset({"payment", "key", "amount"}),
    "fail": frozenset({"payment", "reason"}),
    "read": frozenset({"payment"}),
    "attempts": frozenset({"payment"}),
}
_REQUIRED = ("create", "authorize", "capture", "read")
_STATES = ("pending", "authorized", "captured", "failed")
_REASONS = ("declined", "voided", "expired")
_SUCCESS = {
    "create": "created",
    "authorize": "authorized",
    "capture": "captured",
    "fail": "failed",
    "read": "read",
    "attempts": "read",
}
_OUTCOMES = tuple(outcome.name.lower() for outcome in Outcome)
_LEAST_REFUSALS = 10
_LONGEST_SWEEP_S = 3_600
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Scalar = str | int | bool | float


class BindingFileError(ValueError):
    """A file that is no binding; the message names the file, the key, and what is wrong with it."""


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Answer(_Section, frozen=True, kw_only=True):
    """An answer: its status, what its body has to say, and the outcomes that it may stand for."""

    status: int
    outcome: str | list[str]
    where: dict[str, Scalar] = {}

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that it may stand for."""
        return (self.outcome,) if isinstance(self.outcome, str) else tuple(self.outcome)


class CommandBinding(_Section, frozen=True, kw_only=True):
    """A command: the request, and the answers that are the command's own."""

    request: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    answers: list[Answer]
    shows_payment: bool = False
    id: str | None = None
    reasons: list[str] = msgspec.field(default_factory=lambda: ["declined", "voided"])

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """The request's path, with placeholders."""
        return self.request.partition(" ")[2]


class Ids(_Section, frozen=True, kw_only=True):
    """Who chooses a payment's id, and what one looks like."""

    chosen_by: Literal["client", "service"] = "client"
    kind: Literal["uuid", "integer"] = "uuid"


class Values(_Section, frozen=True, kw_only=True):
    """How values are written."""

    amount: Literal["cents", "decimal text", "decimal number"] = "cents"
    window: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    instant: Literal["rfc3339", "unix microseconds"] = "rfc3339"
    key: Literal["text", "uuid"] = "text"


class PaymentView(_Section, frozen=True, kw_only=True):
    """Where an answer that shows a payment has what: paths of names with dots between."""

    state: str
    states: dict[str, str] = msgspec.field(default_factory=lambda: {name: name for name in _STATES})
    amount: str | None = None
    authorized_at: str | None = None
    capture_expires_at: str | None = None
    captured_at: str | None = None
    captured_amount: str | None = None
    failed_at: str | None = None
    reason: str | None = None
    reasons: dict[str, str] = msgspec.field(default_factory=lambda: {name: name for name in _REASONS})
    as_of: str | None = None
    only_in_their_states: bool = False


class Flag(_Section, frozen=True, kw_only=True):
    """Where an answer says that it is a repeated one: a header, or a member of the body."""

    header: str | None = None
    member: str | None = None
    value: Scalar = "true"


class CaptureView(_Section, frozen=True, kw_only=True):
    """What a capture's answer says beside its outcome."""

    replayed: Flag | None = None
    decided_at: list[str] = []
    body: Literal["same bytes", "not compared"] = "same bytes"


class AttemptsView(_Section, frozen=True, kw_only=True):
    """Where a list of stored attempts has what.

    A list in pages has the place of the next at ``next``; it is empty or null at the end.
    """

    items: str
    next: str | None = None
    next_request: str | None = None
    key: str
    amount: str | None = None
    outcome: str | None = None
    outcomes: dict[str, str] = {}
    decided_at: str | None = None


class Sweep(_Section, frozen=True, kw_only=True):
    """How the sweep is run, by one of three; within how many seconds it expires payments by itself."""

    request: str | None = None
    sql: str | None = None
    command: str | None = None
    within: float | None = None

    @property
    def ways(self) -> int:
        """In how many ways the harness can run it."""
        return sum(each is not None for each in (self.request, self.sql, self.command))


class Clock(_Section, frozen=True, kw_only=True):
    """Whose clock decides, and how it is moved."""

    by: Literal["database", "sql", "none"] = "database"
    function: str = "payment_clock"
    set: str | None = None


class Locking(_Section, frozen=True, kw_only=True):
    """How a session outside the service takes the lock of a payment, and voids it."""

    hold: str
    void: str | None = None


class Service(_Section, frozen=True, kw_only=True):
    """How to reach the service."""

    ready: str = "/readyz"
    headers: dict[str, str] = {}


class Limits(_Section, frozen=True, kw_only=True):
    """What the service takes, where that is less than the model allows."""

    max_amount: int = MAX_AMOUNT
    max_window_seconds: int = 2_678_400
    max_stored_refusals: int | None = None
    malformed_amounts: list[Any] | None = None
    null_is_malformed: bool = True


class Binding(_Section, frozen=True, kw_only=True):
    """A whole binding file."""

    format: str
    version: int
    name: str
    service: Service = Service()
    ids: Ids = Ids()
    values: Values = Values()
    limits: Limits = Limits()
    commands: dict[str, CommandBinding]
    answers: list[Answer] = []
    payment: PaymentView
    capture: CaptureView = CaptureView()
    attempts: AttemptsView | None = None
    sweep: Sweep | None = None
    clock: Clock = Clock()
    lock: Locking | None = None

    def outcomes_of(self, f: str) -> frozenset[str]:
        """The outcomes that some answer to a command stands for."""
        answers = [*self.commands[f].answers, *self.answers]
        return frozenset(outcome for answer in answers for outcome in answer.outcomes)

    @property
    def malformed_amounts(self) -> tuple[Any, ...]:
        """What is no amount, as far as the service says so."""
        if "malformed" not in self.outcomes_of("capture"):
            return ()
        declared = self.limits.malformed_amounts
        if declared is not None:
            return (*declared, None) if self.limits.null_is_malformed else tuple(declared)
        if self.values.amount == "cents":
            return MALFORMED_AMOUNTS
        return tuple(each for each in MALFORMED_AMOUNTS if each is None or type(each) is int)


def default_binding() -> Binding:
    """The binding of this repository's own HTTP interface."""
    return parse(default_text(), "default_binding.toml")


def default_text() -> str:
    """The default binding file: also what a new one is begun from."""
    return resources.files(__package__).joinpath("default_binding.toml").read_text()


def load(path: Path) -> Binding:
    """Read a binding file.

    Raises:
        BindingFileError: it cannot be read, or is no binding.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BindingFileError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Binding:
    """Parse a binding file's text.

    Args:
        text: TOML.
        name: the file's name, for messages.

    Raises:
        BindingFileError: it is no binding.
    """
    try:
        binding = msgspec.convert(tomllib.loads(text), Binding)
    except tomllib.TOMLDecodeError as error:
        raise BindingFileError(f"{name}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise BindingFileError(f"{name}: {str(error).replace('$.', '')}") from None
    for key, problem in _problems(binding):
        raise BindingFileError(f"{name}: {key}: {problem}")
    return binding


def _problems(binding: Binding) -> Iterator[tuple[str, str]]:
    if (binding.format, binding.version) != (FORMAT_NAME, FORMAT_VERSION):
        yield "format, version", f"must be {FORMAT_NAME!r} and {FORMAT_VERSION}"
    for f in _REQUIRED:
        if f not in binding.commands:
            yield f"commands.{f}", "is missing; without it nothing can be checked"
    for f, command in binding.commands.items():
        if f not in PLACEHOLDERS:
            yield f"commands.{f}", f"is no command; there are {', '.join(PLACEHOLDERS)}"
        else:
            yield from _command_problems(f, command)
    yield from _answer_problems("answers", binding.answers)
    yield from _named(binding.payment.states, _STATES, "payment.states")
    yield from _named(binding.payment.reasons, _REASONS, "payment.reasons")
    for f in binding.commands:
        if _SUCCESS[f] not in binding.outcomes_of(f):
            yield f"commands.{f}.answers", f"no answer has the outcome {_SUCCESS[f]!r}"
    yield from _view_problems(binding)


def _view_problems(binding: Binding) -> Iterator[tuple[str, str]]:
    bound = binding.limits.max_stored_refusals
    if bound is not None and bound < _LEAST_REFUSALS:
        yield "limits.max_stored_refusals", f"must be {_LEAST_REFUSALS} at least: as many captures race"
    if (bound is not None) != ("too_many_refusals" in binding.outcomes_of("capture")):
        yield "limits.max_stored_refusals", "belongs to an answer with the outcome 'too_many_refusals'"
    if not binding.commands["read"].shows_payment:
        yield "commands.read.shows_payment", "must be true: what is stored is seen by reading"
    if binding.ids.chosen_by == "service" and binding.commands["create"].id is None:
        yield "commands.create.id", "is missing: where the service chooses ids, the answer has it there"
    if ("attempts" in binding.commands) != (binding.attempts is not None):
        yield "attempts", "the section and commands.attempts belong together: have both, or neither"
    if binding.attempts is not None:
        yield from _named(binding.attempts.outcomes, _OUTCOMES, "attempts.outcomes")
        yield from _paging_problems(binding.attempts)
    flag = binding.capture.replayed
    if flag is not None and (flag.header is None) == (flag.member is None):
        yield "capture.replayed", "needs one of header and member"
    yield from _hand_problems(binding)


def _paging_problems(view: AttemptsView) -> Iterator[tuple[str, str]]:
    if (view.next is None) != (view.next_request is None):
        yield "attempts.next_request", "and attempts.next belong together: have both, or neither"
    elif view.next_request is not None:
        known = PLACEHOLDERS["attempts"] | {"next"}
        yield from _request_problems("attempts.next_request", view.next_request, known)
        if "{next}" not in view.next_request:
            yield "attempts.next_request", "must have {next}, where the place of the next page goes"


def _hand_problems(binding: Binding) -> Iterator[tuple[str, str]]:
    """What is wrong with the hands that the harness has on time, sweep and locks."""
    sweep = binding.sweep
    if sweep is not None:
        if sweep.ways > 1 or (sweep.ways == 0 and sweep.within is None):
            yield "sweep", "needs one of request, sql and command, or within"
        if sweep.within is not None and not 0 < sweep.within <= _LONGEST_SWEEP_S:
            yield "sweep.within", f"is no number of seconds up to {_LONGEST_SWEEP_S}"
        if sweep.within is not None and binding.clock.by == "sql":
            yield "sweep.within", "is real time, and clock.by = 'sql' moves it: use clock.by = 'none'"
        if sweep.request is not None:
            yield from _request_problems("sweep.request", sweep.request, frozenset())
    if (binding.clock.by == "sql") != (binding.clock.set is not None):
        yield "clock.set", "belongs to by = 'sql', and to nothing else"
    if binding.clock.set is not None and binding.clock.set.count("{now}") != 1:
        yield "clock.set", "must have {now}, once, where the instant goes"
    locking = {} if binding.lock is None else {"hold": binding.lock.hold, "void": binding.lock.void}
    for name, statement in locking.items():
        if statement is not None and statement.count("{payment}") != 1:
            yield f"lock.{name}", "must have {payment}, once, where the id goes"


def _command_problems(f: str, command: CommandBinding) -> Iterator[tuple[str, str]]:
    yield from _request_problems(f"commands.{f}.request", command.request, PLACEHOLDERS[f])
    yield from _answer_problems(f"commands.{f}.answers", command.answers)
    for key, text in _texts(f"commands.{f}.body", command.body):
        yield from _unknown_placeholders(key, text, PLACEHOLDERS[f])
    for header, text in command.headers.items():
        yield from _unknown_placeholders(f"commands.{f}.headers.{header}", text, PLACEHOLDERS[f])
    for reason in command.reasons:
        if reason not in ("declined", "voided"):
            yield f"commands.{f}.reasons", f"{reason!r} is none of declined, voided"
    if not command.reasons:
        yield f"commands.{f}.reasons", "must name one at least"


def _request_problems(key: str, request: str, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    method, _, path = request.partition(" ")
    if method not in _METHODS or not path.startswith("/"):
        yield key, f"must be a method and a path, as in 'POST /payments', and is {request!r}"
    yield from _unknown_placeholders(key, path, known)


def _answer_problems(key: str, answers: list[Answer]) -> Iterator[tuple[str, str]]:
    for number, answer in enumerate(answers):
        for outcome in answer.outcomes:
            if outcome not in _OUTCOMES:
                known = ", ".join(_OUTCOMES)
                yield f"{key}[{number}].outcome", f"no outcome is named {outcome!r}; there are {known}"
        if not answer.outcomes:
            yield f"{key}[{number}].outcome", "must name one at least"
        if not 200 <= answer.status < 500:
            yield f"{key}[{number}].status", "must be 200 to 499: a 5xx is no definite answer"


def _named(names: Mapping[str, str], known: tuple[str, ...], key: str) -> Iterator[tuple[str, str]]:
    for theirs, ours in names.items():
        if ours not in known:
            yield f"{key}.{theirs}", f"{ours!r} is none of {', '.join(known)}"


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(f"{key}.{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(f"{key}[{number}]", inner)


def _unknown_placeholders(key: str, text: str, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    for part in text.split("{")[1:]:
        name = part.partition("}")[0]
        if "}" not in part or name not in known:
            yield key, f"{{{name}}} is no placeholder here; there are {', '.join(sorted(known)) or 'none'}"
