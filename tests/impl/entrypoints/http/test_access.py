"""What each token may do: every route of the application, with a token of every scope."""

from __future__ import annotations

import hashlib
from itertools import product

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from payments_core.entrypoints.http.access import NEEDED, OPEN
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.contract import openapi
from payments_core.entrypoints.http.resources import resource
from payments_core.entrypoints.metrics import Metrics
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.tokens import TokenScope, entry
from payments_core.entrypoints.wiring import exposition, guarded
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.api import problem
from tests.support.stores import Kit

pytestmark = pytest.mark.anyio

READ, WRITE, METRICS = TokenScope
RULES: dict[str, dict[str, TokenScope | None]] = {
    "/payments": {"GET": READ, "POST": WRITE},
    "/payments/{payment_id}": {"GET": READ, "PUT": WRITE},
    "/payments/{payment_id}/authorize": {"POST": WRITE},
    "/payments/{payment_id}/captures": {"GET": READ, "POST": WRITE},
    "/payments/{payment_id}/fail": {"POST": WRITE},
    "/metrics": {"GET": METRICS},
    **{path: {"GET": None} for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz")},
    **{path: {"GET": None} for path in ("/static/{name}", "/problems/{name}")},
}
"""What is right, written a second time."""
VALUES = {"payment_id": "00000000-0000-4000-8000-000000000001"}
NAMES = {"/static/{name}": "style.css", "/problems/{name}": "overloaded"}


def routes() -> list[Route]:
    """Every route that any application of the service has."""
    found = create_app(InMemoryPaymentStore(lambda: 0), routes=[exposition(Metrics())]).routes
    assert all(isinstance(each, Route) for each in found)
    return [each for each in found if isinstance(each, Route)]


async def nobody(_request: Request) -> Response:
    raise AssertionError("no route leads here")


async def answers(kit: Kit, scopes: list[TokenScope], method: str, path: str) -> httpx.Response:
    """The answer to a client whose token has these scopes; a body that it sends is no command."""
    listed = entry(hashlib.sha256(b"token").hexdigest(), scopes)
    app = guarded(create_app(kit.store, routes=[exposition(Metrics())]), Settings(tokens=listed), Metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": "Bearer token", "Content-Type": "application/json", "Idempotency-Key": "key"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
        target = path.format(**VALUES, name=NAMES.get(path))
        return await http.request(method, target, content=b"{}")


def test_every_route_has_its_rule() -> None:
    assert {each.path: set(each.methods or ()) - {"HEAD", "OPTIONS"} for each in routes()} == {
        path: set(methods) for path, methods in RULES.items()
    }
    open_routes: dict[str, dict[str, TokenScope | None]] = {path: {"GET": None} for path in OPEN}
    assert {**NEEDED, **open_routes} == RULES


@pytest.mark.parametrize("path", RULES)
async def test_a_token_does_what_it_is_for_and_nothing_else(memory: Kit, path: str) -> None:
    for (method, needed), scope in product(RULES[path].items(), TokenScope):
        for each in (method, "HEAD") if method == "GET" else (method,):
            answer = await answers(memory, [scope], each, path)
            if needed in (None, scope):
                assert answer.status_code in {200, 400, 404, 422}, (each, path, scope)
                continue
            assert answer.status_code == 403, (each, path, scope)
            wanted = f'Bearer realm="payments", error="insufficient_scope", scope="{needed}"'
            assert answer.headers["www-authenticate"] == wanted
            if each != "HEAD":
                assert str(needed) in problem(answer, 403, "insufficient_scope")["detail"]


@pytest.mark.parametrize("path", RULES)
async def test_a_token_of_several_scopes_has_each(memory: Kit, path: str) -> None:
    for method, needed in RULES[path].items():
        others = [each for each in TokenScope if each is not needed]
        assert (await answers(memory, others, method, path)).status_code == (403 if needed else 200)
        assert (await answers(memory, [*TokenScope], method, path)).status_code != 403
        assert (await answers(memory, [], method, path)).status_code != 403


async def test_any_token_is_told_the_methods_and_what_is_not_there(memory: Kit) -> None:
    for scope in TokenScope:
        assert (await answers(memory, [scope], "OPTIONS", "/payments")).status_code == 204
        assert (await answers(memory, [scope], "DELETE", "/payments")).status_code == 405
        assert (await answers(memory, [scope], "GET", "/nowhere")).status_code == 404


@pytest.mark.parametrize("path", ["/refunds", "/payments", "/healthz"])
def test_a_route_without_a_rule_cannot_be_made(path: str) -> None:
    with pytest.raises(ValueError, match=f"say in .*access which scope {path} needs for each of"):
        resource(path, DELETE=nobody)


def test_the_contract_names_the_scope() -> None:
    described = {
        (path, method.upper()): operation["security"]
        for path, item in openapi()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    for (path, method), security in described.items():
        needed = RULES[path][method]
        assert security == ([{}, {"token": [needed]}] if needed else [])
