"""What a whole process logs and answers, whatever goes wrong: nothing of it is for others to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter, time
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict

from payments_verify.binding import Response
from payments_verify.patience import comes_true
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.surface.answers import complaints, problem_of
from payments_verify.surface.lines import QUIET, Line, is_within, lines_of_requests
from payments_verify.surface.unlogged import Asked, Secrets, of_another_scope, requests
from payments_verify.surface.witness import decided_by, route_of
from payments_verify.surface.written import JSON
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.database import password_of
from payments_verify.systems.logs import everything_kept
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.asked import BUSY, UNAVAILABLE
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate

_LIMIT_S = 20.0
_SWEEP_S = 0.05
_TABLES = ("payments", "capture_attempts", "payment_events")
_STATES: Mapping[str, tuple[int, str]] = {
    **dict.fromkeys(("55P03", "40001"), (503, BUSY)),
    **dict.fromkeys(("23505", "23514", "22003"), (500, "internal_error")),  # nobody expects them
    **dict.fromkeys(("42501", "42P01", "58P01", "P0001", "XX000"), (503, UNAVAILABLE)),
    **dict.fromkeys(("25006", "25P03", "25P04", "57P01", "08006"), (503, UNAVAILABLE)),
    **dict.fromkeys(("57014", "53100", "53300", "26000"), (503, UNAVAILABLE)),
}
"""SQLSTATEs with which the database refuses a write, and its answer, as operations.md has it."""
_ON_PURPOSE = "it fails on purpose"
_FAIL = """
    CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION '{}' USING ERRCODE = '{}', DETAIL = NEW::text, HINT = NEW::text;
    END $$
"""
_FAILS = "CREATE OR REPLACE TRIGGER fails BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION fail()"
_SLOW = """
    CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(0.2); RETURN NEW;
    END $$
"""
_SLOW_MS, _SLACK_MS = 190, 1
_OF_A_REQUEST = frozenset(
    {"event", "level", "timestamp", "request_id", "method", "route", "status", "duration_ms"}
)
_REPLAYED = "idempotent-replayed"
_UNMATCHED, _REFUSED, _FAILED = "unmatched", 400, 500


@dataclass(frozen=True)
class _Answered:
    """A request and its answer.

    Attributes:
        began, ended: when it was sent and had its answer, by the clock.
        took_ms: how long that took, in ms.
        least_ms: how long it took the application at least.
    """

    asked: Asked
    answer: Response
    began: float
    ended: float
    took_ms: float
    least_ms: float


@dataclass
class _Asking:
    """Sends requests to an application, and keeps how each was answered."""

    http: ApplicationClient
    answers: list[_Answered] = field(default_factory=list)

    async def send(self, asked: Asked, least_ms: float = 0) -> Response:
        token = () if asked.token is None else ((b"authorization", asked.token),)
        fields = [*((name.encode(), value) for name, value in asked.fields), *token]
        at, began = time(), perf_counter()
        answer = await self.http.request(asked.method, asked.path, headers=fields, content=asked.body)
        took_ms = (perf_counter() - began) * 1000
        self.answers.append(_Answered(asked, answer, at, time(), took_ms, least_ms))
        return answer


async def wrong_logs(dsn: str) -> str | None:
    """What is logged otherwise than it has to be; ``None`` if nothing.

    Args:
        dsn: a prepared database that nobody else uses, whose owner is a superuser.
    """
    secrets = replace(Secrets(), password=password_of(dsn))
    with everything_kept() as printed, psycopg.connect(dsn, autocommit=True) as connection:
        async with DatabaseClock.connect(dsn) as clock, Gate.open(dsn) as gate:
            await clock.set(BEGIN)
            async with whole_application(gate.socket_dsn, sweep_interval_s=_SWEEP_S) as app:
                asking = _Asking(app.http)
                secrets = replace(secrets, own_token=app.http.headers["Authorization"].split()[1])
                tokens = app.tokens
                for each in (*requests(secrets), *of_another_scope(secrets, tokens)):
                    await asking.send(each)
                wrong = await _fail_in_the_database(asking, secrets, connection)
                await clock.set(BEGIN + SECOND)
                await comes_true(lambda: "sweep failed" in printed(), _LIMIT_S)
                gate.refuses_next = True
                for session in list(gate.sessions):
                    session.cut()
                await asking.send(Asked("GET", f"/payments/{secrets.payment}"))
        for token in tokens.values():
            if (told := replace(secrets, token=token).found_in(printed())) is not None:
                return told
        told = secrets.found_in(printed()) or _wrong_lines(printed(), asking.answers) or wrong
        return told or _told_to_clients(asking.answers, secrets, conninfo_to_dict(gate.socket_dsn))


async def _fail_in_the_database(
    asking: _Asking, secrets: Secrets, connection: psycopg.Connection
) -> str | None:
    """Have each write fail in the database from now on, for each reason; a payment is due in 1 s.

    Returns:
        The first answer that is another one than that reason has.
    """
    wrong = None
    payment, pending = f"/payments/{secrets.payment}", f"/payments/{uuid4()}"
    amount, window = b'{"amount_cents": 500}', b'{"capture_window_seconds": 1}'
    await asking.send(Asked("PUT", pending, JSON, amount))
    await asking.send(Asked("POST", f"{payment}/authorize", JSON, window))
    connection.execute(_SLOW.encode())
    connection.execute(_FAILS.format("payments").encode())
    await asking.send(Asked("PUT", f"/payments/{uuid4()}", JSON, amount), _SLOW_MS)
    for state, expected in _STATES.items():
        connection.execute(_FAIL.format(_ON_PURPOSE, state).encode())
        for table in _TABLES if state == next(iter(_STATES)) else ():
            connection.execute(_FAILS.format(table).encode())
        key = ("Idempotency-Key", f"{secrets.key} {state}".encode())
        for each in (
            Asked("PUT", f"/payments/{uuid4()}", JSON, amount),
            Asked("POST", f"{pending}/authorize", JSON, window),
            Asked("POST", f"{payment}/captures", (*JSON, key), amount),
            Asked("POST", f"{payment}/captures", (*JSON, key), amount.replace(b"500", b"501")),
            Asked("POST", f"{payment}/fail", JSON, b'{"reason": "voided"}'),
        ):
            answer = await asking.send(each)
            found = answer.status_code, problem_of(answer)
            told = "; ".join(complaints(each.method, each.path, answer))
            if found != expected or told:
                where = f"I9: {each.method} {each.path}, which the database refuses with {state}"
                wrong = wrong or f"{where}: expected {expected}, got {found} {told}"
    return wrong


def _told_to_clients(answers: Sequence[_Answered], secrets: Secrets, at: Mapping[str, Any]) -> str | None:
    """What a failure has told a client of the database or of what is in it; ``None`` if nothing.

    Args:
        answers: to requests.
        secrets: that were in them.
        at: the parts of the database's connection string.
    """
    texts = {"text of an error": _ON_PURPOSE, "database's host": at["host"], "database": at["dbname"]}
    texts |= {f"request's {name}": text for name, text in asdict(secrets).items()}
    for asked, answer in (
        (each.asked, each.answer) for each in answers if each.answer.status_code >= _FAILED
    ):
        told = [name for name, text in texts.items() if text in answer.text]
        if told:
            return f"I11: {asked.method} {asked.path} is told the {', the '.join(told)}: {answer.text}"
    return None


def _wrong_lines(printed: str, answers: Sequence[_Answered]) -> str | None:
    """Each request has one line, which says how it was answered, and nothing else."""
    lines = lines_of_requests(printed)
    of_requests = {line["request_id"]: line for line in lines}
    if len(of_requests) != len(lines):
        return "I12: two requests are logged under one id"
    for each in answers:
        line = of_requests.get(each.answer.headers["x-request-id"], {})
        if wrong := "; ".join(_wrong_line(line, each)):
            return f"I12: of {each.asked.method} {route_of(each.asked.path)} is logged {line}: {wrong}"
    return None


def _wrong_line(line: Line, answered: _Answered) -> Iterator[str]:
    """What a line says otherwise than it has to."""
    asked, answer = answered.asked, answered.answer
    level = "debug" if asked.path.partition("?")[0] in QUIET else "info"
    wanted: dict[str, Any] = {"method": asked.method, "status": f"{answer.status_code}", "level": level}
    fields: Mapping[str, str] = {name: value.decode("latin-1") for name, value in asked.fields}
    outcome = decided_by(asked.path, fields, answer)
    if outcome is not None:
        wanted |= {"outcome": outcome, "replayed": _REPLAYED in answer.headers}
    if differing := {name: value for name, value in wanted.items() if line.get(name) != value}:
        yield f"expected {differing}"
    if others := line.keys() ^ (_OF_A_REQUEST | wanted.keys()):
        yield f"it lacks, or has for nothing, {sorted(others)}"
        return
    template = route_of(asked.path)
    early = {_UNMATCHED} if answer.status_code >= _REFUSED else set()
    if template is not None and line["route"] not in {template, *early}:
        yield f"the route is {template}"
    if not answered.least_ms <= line["duration_ms"] <= answered.took_ms + _SLACK_MS:
        yield f"it took {answered.least_ms:g} to {answered.took_ms:g} ms"
    if not is_within(line, answered.began, answered.ended):
        yield f"it ended {answered.ended:.3f} s after 1970"
