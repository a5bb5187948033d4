"""No request hides in another: sent directly, and through a proxy that frames correctly.

``FUZZ_REQUESTS`` says how many are tried each way.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.test_raw_http import PROTOCOL, ROOT, SETTINGS, Watched, errors_in
from tests.support.framing_proxy import through_a_proxy
from tests.support.mutants import Edit, mutated_copy
from tests.support.postgres import Database
from tests.support.processes import serving
from tests.support.raw_http import GOOD, request
from tests.support.smuggling import HIDDEN, Tally, directly

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "1000"))
SEED = 14
WAYS: dict[str, Callable[[int, random.Random, int, bytes], Tally]] = {
    "directly": directly,
    "through a proxy": through_a_proxy,
}


@pytest.fixture(scope="module")
def watched(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The server as it is shipped."""
    variables = {"DATABASE_URL": shared_database.app_dsn, **SETTINGS}
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, module="tests.support.telling", **variables) as server:
        yield Watched(server, shared_database)


def hidden_capture(victim: str) -> bytes:
    """A capture of the victim's payment, as it would be smuggled."""
    fields = [b"Idempotency-Key: hidden", b"X-Request-ID: " + HIDDEN]
    return request(b"POST", victim.encode() + b"/captures", fields, GOOD)


@pytest.mark.parametrize("way", WAYS)
def test_no_request_hides_in_another(watched: Watched, way: str) -> None:
    victim = watched.authorized()
    tally = WAYS[way](watched.server.port, random.Random(SEED), REQUESTS, hidden_capture(victim))
    sys.stdout.write(f"\n{tally.told(way)}\n")
    assert tally.smuggled == []
    assert tally.tried == REQUESTS
    # All kinds of answers came: the parser's, the limits', the application's.
    assert {"400", "404", "415"} & set(tally.answers)
    assert watched.state(victim) == "authorized"
    watched.captures()
    assert errors_in(watched.server.printed) == []


# ---- a server that lets one hide is found ---------------------------------------------------------

BROKEN = {
    "a body after an offer is another request": Edit(PROTOCOL, "self.parser.feed_data(head)", "pass"),
    "trailers are fields": Edit(PROTOCOL, "self.headers = []", "pass"),
}


@pytest.mark.parametrize("bug", BROKEN)
@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_lets_one_hide_is_found(
    bug: str, way: str, shared_database: Database, tmp_path: Path
) -> None:
    mutant = mutated_copy(tmp_path / "mutant", [BROKEN[bug]])
    variables = {
        "DATABASE_URL": shared_database.app_dsn,
        "PYTHONPATH": f"{mutant}{os.pathsep}{ROOT}",
        **SETTINGS,
    }
    with serving(tmp_path, module="tests.support.telling", **variables) as server:
        watched = Watched(server, shared_database)
        victim = watched.authorized()
        tally = WAYS[way](server.port, random.Random(SEED), 600, hidden_capture(victim))
        watched.close()
    assert tally.smuggled != []
