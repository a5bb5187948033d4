"""The sections of a binding file, each explained in ``default_binding.toml`` or in ``specs/binding.md``."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from payments_model import MAX_AMOUNT
from payments_verify.binding.variables import texts
from payments_verify.binding.views import AttemptsView, CaptureView, PaymentView, Scalar
from payments_verify.payments.observed.traits import MALFORMED_AMOUNTS

FAIL_REASONS = ("declined", "voided")
"""The reasons for which a client can fail a payment."""

_PLACEHOLDER = re.compile(r"(?<!\$)\{")


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Presence(_Section, frozen=True, kw_only=True):
    """Whether something stands at a path; null is nothing."""

    exists: bool


class Expected(_Section, frozen=True, kw_only=True):
    """An answer: its status, and what its body has to say."""

    status: int
    where: dict[str, Scalar | Presence] = {}


class AnswerSection(Expected, frozen=True, kw_only=True):
    """The same, with the outcomes that it may stand for."""

    outcome: str | list[str]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that it may stand for."""
        return (self.outcome,) if isinstance(self.outcome, str) else tuple(self.outcome)


class RequestSection(_Section, frozen=True, kw_only=True):
    """A request, with placeholders."""

    request: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.partition(" ")[0]

    @property
    def path(self) -> str:
        """The request's path, with placeholders."""
        return self.request.partition(" ")[2]

    def names(self, placeholder: str) -> bool:
        """Whether the request has a placeholder anywhere."""
        return any(f"{{{placeholder}}}" in text for _, text in texts(msgspec.to_builtins(self)))


class SetUp(RequestSection, frozen=True, kw_only=True):
    """A request that comes before others, and what of its answer they use: placeholders, by path."""

    before: Literal["everything", "create"] = "everything"
    save: dict[str, str] = {}
    answers: list[Expected] = []


class CommandBinding(RequestSection, frozen=True, kw_only=True):
    """A command: the request, and the answers that are the command's own."""

    answers: list[AnswerSection]
    shows_payment: bool = False
    id: str | None = None
    reasons: list[str] = msgspec.field(default_factory=lambda: [*FAIL_REASONS])
    from_pending: bool = False
    authorizes: bool = False


class Ids(_Section, frozen=True, kw_only=True):
    """Who chooses a payment's id, and what one looks like."""

    chosen_by: Literal["client", "service"] = "client"
    kind: Literal["uuid", "integer", "text"] = "uuid"
    form: str | None = None


class Keys(_Section, frozen=True, kw_only=True):
    """Within what a key is one key; what it looks like, if it has a form: that, cut to a length."""

    scope: Literal["payment", "account"] = "payment"
    form: str | None = None
    length: int | None = None


class InProgress(_Section, frozen=True, kw_only=True):
    """For how many seconds a request that failed may leave its key in progress."""

    lease: float


class Values(_Section, frozen=True, kw_only=True):
    """How values are written."""

    amount: Literal["cents", "cents text", "decimal text", "decimal number"] = "cents"
    window: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    instant: Literal["rfc3339", "unix microseconds", "unix milliseconds", "unix seconds"] = "rfc3339"
    key: Literal["text", "quoted text", "uuid"] = "text"


class Sweep(_Section, frozen=True, kw_only=True):
    """How the sweep is run, by one of three; within how many seconds it expires payments by itself."""

    request: str | None = None
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    answers: list[Expected] = []
    sql: str | None = None
    command: str | None = None
    within: float | None = None

    @property
    def asked(self) -> RequestSection:
        """The request that runs it."""
        assert self.request is not None
        return RequestSection(request=self.request, body=self.body, headers=self.headers)

    @property
    def ways(self) -> int:
        """In how many ways the harness can run it."""
        return sum(each is not None for each in (self.request, self.sql, self.command))


class Clock(_Section, frozen=True, kw_only=True):
    """Whose clock decides, and how it is moved."""

    by: Literal["database", "sql", "none"] = "database"
    function: str = "payment_clock"
    set: str | None = None
    until: str | None = None
    resolution: Literal["microseconds", "milliseconds", "seconds"] = "microseconds"

    @property
    def unmoved(self) -> Clock:
        """The same clock where nobody moves it: it tells apart, and holds, what it did."""
        return Clock(by="none", resolution=self.resolution, until=self.until)


class Locking(_Section, frozen=True, kw_only=True):
    """How a session outside the service takes the lock of a payment, and voids it."""

    hold: str
    void: str | None = None


class Service(_Section, frozen=True, kw_only=True):
    """How to reach the service, where it is told of its database, and in how many processes it is right."""

    processes: Literal["several", "one", "one in memory"] = "several"
    ready: str = "/readyz"
    headers: dict[str, str] = {}
    environment: dict[str, str] = {}
    body: Literal["json", "form"] = "json"
    sign: str | None = None

    @property
    def headers_with_names(self) -> dict[str, str]:
        """The header fields that have something of an answer to ``setup``."""
        return {name: text for name, text in self.headers.items() if _PLACEHOLDER.search(text)}


class Limits(_Section, frozen=True, kw_only=True):
    """What the service takes, where that is less than the model allows."""

    min_amount: int = 1
    max_amount: int = MAX_AMOUNT
    max_window_seconds: int = 2_678_400
    fixed_window_seconds: int | None = None
    max_stored_refusals: int | None = None
    malformed_amounts: list[Any] | None = None
    null_is_malformed: bool = True
    keys: str = "[!#-~]([ -~]{0,34}[!-~])?"
    partial_captures: bool = False
    malformed_after_key: bool = False
    malformed_uses_key: bool = False


class Binding(_Section, frozen=True, kw_only=True):
    """A whole binding file."""

    format: str
    version: int
    name: str
    service: Service = Service()
    ids: Ids = Ids()
    keys: Keys = Keys()
    values: Values = Values()
    in_progress: InProgress | None = None
    setup: list[SetUp] = []
    limits: Limits = Limits()
    commands: dict[str, CommandBinding]
    answers: list[AnswerSection] = []
    nothing_done: list[Expected] = []
    payment: PaymentView
    capture: CaptureView = CaptureView()
    attempts: AttemptsView | None = None
    sweep: Sweep | None = None
    clock: Clock = Clock()
    lock: Locking | None = None

    def outcomes_of(self, f: str) -> frozenset[str]:
        """The outcomes that some answer to a command stands for."""
        return frozenset(o for each in (*self.commands[f].answers, *self.answers) for o in each.outcomes)

    @property
    def key_form(self) -> str | None:
        """How a key is written; ``None`` as it is."""
        is_uuid = self.values.key == "uuid" or self.keys.scope == "account"
        return "{uuid}" if is_uuid and self.keys.form is None else self.keys.form

    @property
    def has_windows(self) -> bool:
        """Whether an authorization has a window: if not, none ends."""
        return self.limits.fixed_window_seconds is not None or self.asks_for_windows

    @property
    def asks_for_windows(self) -> bool:
        """Whether an authorization says for how long."""
        return any(each.names("window") for f, each in self.commands.items() if f in ("create", "authorize"))

    @property
    def captures_amounts(self) -> bool:
        """Whether a capture names an amount."""
        return self.commands["capture"].names("amount")

    @property
    def amounts_are_text(self) -> bool:
        """Whether some amount goes over the wire as text: then "1" is 1."""
        naming = [
            each for f, each in self.commands.items() if f in ("create", "capture") and each.names("amount")
        ]
        typed = all("{amount}" in (text for _, text in texts(each.body)) for each in naming)
        return self.service.body == "form" or not typed

    @property
    def malformed_amounts(self) -> tuple[Any, ...]:
        """What is no amount, as far as the service says so."""
        if "malformed" not in self.outcomes_of("capture"):
            return ()
        if (declared := self.limits.malformed_amounts) is not None:
            return (*declared, None) if self.limits.null_is_malformed else tuple(declared)
        if self.values.amount == "cents" and not self.amounts_are_text:
            return MALFORMED_AMOUNTS
        return tuple(each for each in MALFORMED_AMOUNTS if each is None or type(each) is int)
