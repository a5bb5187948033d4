"""A service that is told of two hosts: it finds the primary, whichever that is by now."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_verify.binding import Http
from payments_verify.patience import ask_until
from payments_verify.surface.readiness import LIMIT_S, unready_for_good
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.given_up import left_open
from payments_verify.systems.whole.reported import reported
from pgweave.gate import Gate

_ONE = {"pool_min": 1, "pool_max": 1}
_SESSIONS = 2
"""As many as there may be: one more asks whether the database can be used."""
_CREATED = 201


async def wrong_among_hosts(dsn: str) -> str | None:
    """Have first one host be a standby, and then the other; what is wrong while the other one can be used.

    Args:
        dsn: a prepared database; both hosts lead to it.
    """
    async with Gate.open(dsn) as first, Gate.open(dsn) as second:
        gates = (first, second)
        hosts, ports = (
            ",".join(str(conninfo_to_dict(gate.socket_dsn)[name]) for gate in gates)
            for name in ("host", "port")
        )
        both = make_conninfo(first.socket_dsn, host=hosts, port=ports)
        async with whole_application(both, **_ONE) as app:
            if (wrong := await _both_opened(app.http, gates)) is not None:
                return wrong
            for standby in gates:
                async with reported("in_hot_standby", "on", standby):
                    for session in [*first.sessions, *second.sessions]:
                        session.cut()
                    told = "one of two hosts has become a standby, the other one the primary"
                    if (wrong := await unready_for_good(app.http, told)) is not None:
                        return wrong
                    if not await _comes_to_create(app.http):
                        return f"I9: {told}, and nothing is created for {LIMIT_S:g} s"
    return None


async def _both_opened(http: Http, gates: Sequence[Gate]) -> str | None:
    """Both hosts are primaries, and tried at once: a session is kept at one, and none at the other."""
    told = "two hosts are tried at once"
    wrong = await unready_for_good(http, "what comes before all")
    with patch("payments_core.infrastructure.postgres.hosts.HEAD_START_S", 0.0):
        for session in [each for gate in gates for each in gate.sessions]:
            session.cut()
        wrong = wrong or await unready_for_good(http, told)
        if not wrong and not await _comes_to_create(http):
            wrong = f"I9: {told}, and nothing is created for {LIMIT_S:g} s"
    return wrong or await left_open(_SESSIONS, told, *gates)


async def _comes_to_create(http: Http) -> bool:
    async def creates() -> bool:
        answer = await http.request("PUT", f"/payments/{uuid4()}", headers={}, json={"amount_cents": 500})
        return answer.status_code == _CREATED

    return await ask_until(creates, bool, LIMIT_S)
