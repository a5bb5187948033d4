"""A service that is told of two hosts, in each way: it finds the primary, whichever that is by now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from unittest.mock import patch
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from payments_verify.binding import Http
from payments_verify.patience import ask_until
from payments_verify.surface.readiness import LIMIT_S, unready_for_good
from payments_verify.systems.whole.application import whole_application
from payments_verify.systems.whole.given_up import left_open
from payments_verify.systems.whole.reported import reported
from payments_verify.systems.whole.shipped_limits import HEAD_START, shortened
from pgweave.gate import Gate

_ONE = {"pool_min": 1, "pool_max": 1}
_SESSIONS = 2
"""As many as there may be: one more asks whether the database can be used."""
_CREATED = 201


_PLACES: Mapping[str, Sequence[str]] = {
    "DATABASE_URL": (),
    "PGHOST and PGPORT": ("host", "port"),
    "PGHOST and the ports of DATABASE_URL": ("host",),
    "PGHOSTADDR and PGPORT": ("hostaddr", "port"),
}
"""Where the hosts are named, and which parameters libpq's variables name."""


async def wrong_among_hosts(dsn: str) -> str | None:
    """Have first one host be a standby, and then the other; what is wrong while the other one can be used.

    Args:
        dsn: a prepared database; both hosts lead to it.
    """
    async with Gate.open(dsn) as first, Gate.open(dsn) as second:
        for place, named in _PLACES.items():
            given = _both(first, second, is_address="hostaddr" in named)
            variables = {f"PG{name.upper()}": given.pop(name) for name in named}
            with patch.dict(os.environ, variables):
                both = make_conninfo("", **given)
                if (wrong := await _wrong(both, (first, second), is_first=not named)) is not None:
                    return f"{wrong}, where {place} name the hosts"
    return None


def _both(first: Gate, second: Gate, *, is_address: bool) -> dict[str, str]:
    """Parameters that name both, by the paths of sockets or by addresses."""
    parts = [conninfo_to_dict(each.tcp_dsn if is_address else each.socket_dsn) for each in (first, second)]
    own = {name: str(value) for name, value in parts[0].items() if name not in ("host", "hostaddr", "port")}
    host = "hostaddr" if is_address else "host"
    hosts = ",".join(str(each["host"]) for each in parts)
    return {**own, host: hosts, "port": ",".join(str(each["port"]) for each in parts)}


async def _wrong(both: str, gates: Sequence[Gate], *, is_first: bool) -> str | None:
    async with whole_application(both, **_ONE) as app:
        wrong = await _both_opened(app.http, gates) if is_first else None
        for standby in gates:
            async with reported("in_hot_standby", "on", standby):
                for session in [each for gate in gates for each in gate.sessions]:
                    session.cut()
                told = "one of two hosts has become a standby, the other one the primary"
                wrong = wrong or await unready_for_good(app.http, told)
                if not wrong and not await _comes_to_create(app.http):
                    wrong = f"I9: {told}, and nothing is created for {LIMIT_S:g} s"
    return wrong


async def _both_opened(http: Http, gates: Sequence[Gate]) -> str | None:
    """Both hosts are primaries, and tried at once: a session is kept at one, and none at the other."""
    told = "two hosts are tried at once"
    wrong = await unready_for_good(http, "what comes before all")
    with shortened(HEAD_START, 0.0):
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
