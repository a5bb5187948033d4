"""What a whole process logs, whatever goes wrong: each request once, and nothing that nobody is to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import psycopg

from payments_verify.binding import Response
from payments_verify.patience import comes_true
from payments_verify.payments.inputs.classes import BEGIN, SECOND
from payments_verify.surface.unlogged import Asked, Secrets, of_another_scope, requests
from payments_verify.surface.written import JSON
from payments_verify.systems.asgi import ApplicationClient
from payments_verify.systems.database import password_of
from payments_verify.systems.logs import everything_kept
from payments_verify.systems.whole.application import whole_application
from pgweave.clock import DatabaseClock
from pgweave.gate import Gate

_LIMIT_S = 20.0
_SWEEP_S = 0.05
_TABLES = ("payments", "capture_attempts", "payment_events")
_STATES = (
    *("23505", "23514", "22003", "P0001", "XX000"),  # nobody expects them: the service has failed
    *("42501", "58P01", "55P03", "57014", "25006", "53100", "26000"),
)
_FAIL = """
    CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'it fails on purpose' USING ERRCODE = '{}', DETAIL = NEW::text, HINT = NEW::text;
    END $$
"""
_FAILS = "CREATE OR REPLACE TRIGGER fails BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION fail()"
_OF_A_REQUEST = frozenset(
    {"event", "level", "timestamp", "request_id", "method", "route", "status", "duration_ms"}
)
_OF_A_CAPTURE = frozenset({"outcome", "replayed"})
_REPLAYED = "idempotent-replayed"


@dataclass
class _Asking:
    """Sends requests to an application, and keeps how each was answered."""

    http: ApplicationClient
    answers: list[tuple[str, Response]] = field(default_factory=list)

    async def send(self, asked: Asked) -> None:
        token = () if asked.token is None else ((b"authorization", asked.token),)
        fields = [*((name.encode(), value) for name, value in asked.fields), *token]
        answer = await self.http.request(asked.method, asked.path, headers=fields, content=asked.body)
        self.answers.append((asked.method, answer))


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
                await _fail_in_the_database(asking, secrets, connection)
                await clock.set(BEGIN + SECOND)
                await comes_true(lambda: "sweep failed" in printed(), _LIMIT_S)
                gate.refuses_next = True
                for session in list(gate.sessions):
                    session.cut()
                await asking.send(Asked("GET", f"/payments/{secrets.payment}"))
        for token in tokens.values():
            if (told := replace(secrets, token=token).found_in(printed())) is not None:
                return told
        return secrets.found_in(printed()) or _wrong_lines(printed(), asking.answers)


async def _fail_in_the_database(asking: _Asking, secrets: Secrets, connection: psycopg.Connection) -> None:
    """Have each write fail in the database from now on, for each reason; a payment is due in 1 s."""
    payment, pending = f"/payments/{secrets.payment}", f"/payments/{uuid4()}"
    amount, window = b'{"amount_cents": 500}', b'{"capture_window_seconds": 1}'
    await asking.send(Asked("PUT", pending, JSON, amount))
    await asking.send(Asked("POST", f"{payment}/authorize", JSON, window))
    for state in _STATES:
        connection.execute(_FAIL.format(state).encode())
        for table in _TABLES if state == _STATES[0] else ():
            connection.execute(_FAILS.format(table).encode())
        key = ("Idempotency-Key", f"{secrets.key} {state}".encode())
        for each in (
            Asked("PUT", f"/payments/{uuid4()}", JSON, amount),
            Asked("POST", f"{pending}/authorize", JSON, window),
            Asked("POST", f"{payment}/captures", (*JSON, key), amount),
            Asked("POST", f"{payment}/captures", (*JSON, key), amount.replace(b"500", b"501")),
            Asked("POST", f"{payment}/fail", JSON, b'{"reason": "voided"}'),
        ):
            await asking.send(each)


def _wrong_lines(printed: str, answers: Sequence[tuple[str, Response]]) -> str | None:
    """Each request has one line, which says how it was answered, and nothing else."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    of_requests = {line["request_id"]: line for line in lines if line["event"] == "request"}
    if len(of_requests) != sum(line["event"] == "request" for line in lines):
        return "I12: two requests are logged under one id"
    for method, answer in answers:
        line = of_requests.get(answer.headers["x-request-id"], {})
        wanted: dict[str, Any] = {"method": method, "status": f"{answer.status_code}"}
        wanted |= {"replayed": True} if _REPLAYED in answer.headers else {}
        may_be = _OF_A_REQUEST | _OF_A_CAPTURE if _OF_A_CAPTURE & line.keys() else _OF_A_REQUEST
        if line.keys() != may_be or not wanted.items() <= line.items():
            return (
                f"I12: of a request that was answered {wanted}, and has {sorted(may_be)}, is logged: {line}"
            )
    return None
