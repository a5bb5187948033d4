"""Bearer tokens: how they are listed, who gets through, and where the service refuses to go without."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from payments_core.entrypoints import tokens
from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.tokens import Tokens, TokenScope, TokensError
from tests.support.api import problem
from tests.support.guarded import guarded_over
from tests.support.postgres import Database
from tests.support.processes import invoke, serving
from tests.support.stores import Kit

ALL = frozenset(TokenScope)
READ, WRITE, METRICS = TokenScope
ONE, OTHER = "pay_one", "pay_other"
ONE_HASH, OTHER_HASH = (hashlib.sha256(each.encode()).hexdigest() for each in (ONE, OTHER))
PAYMENT = "/payments/00000000-0000-4000-8000-000000000001"


# ---- the list -----------------------------------------------------------------------------------


def test_several_are_accepted_and_others_are_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# clients\n\n  {OTHER_HASH.upper()}  # the shop\n")
    loaded = tokens.load(f" {ONE_HASH} ", file)
    assert [loaded.scopes_of(each.encode()) for each in (ONE, OTHER)] == [ALL, ALL]
    wrong = ["", "pay_on", "pay_one ", "PAY_ONE", "pay_onf", ONE_HASH]
    assert {loaded.scopes_of(each.encode()) for each in wrong} == {None}


def test_none_are_none() -> None:
    assert not tokens.load("", None)
    assert Tokens().scopes_of(b"") is None


def test_what_is_made_is_accepted_and_is_new_each_time() -> None:
    made, digest = tokens.make()
    assert tokens.load(digest, None).scopes_of(made.encode()) == ALL
    assert len({tokens.make()[0] for _ in range(100)}) == 100
    assert made.startswith("pay_")
    assert len(made) == 4 + 43


@pytest.mark.parametrize(
    ("prefix", "scopes"),
    [("", ALL), ("read:", {READ}), ("metrics+read:", {READ, METRICS}), ("write:", {WRITE})],
)
def test_a_token_is_for_what_stands_before_its_hash(
    prefix: str, scopes: frozenset[TokenScope], tmp_path: Path
) -> None:
    assert tokens.load(f"{OTHER_HASH},{prefix}{ONE_HASH}", None).scopes_of(ONE.encode()) == scopes
    (tmp_path / "tokens").write_text(f"{prefix}{ONE_HASH} # the shop\n")
    assert tokens.load("", tmp_path / "tokens").scopes_of(ONE.encode()) == scopes


def test_one_token_has_the_same_scopes_everywhere(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"read:{ONE_HASH.upper()}\n")
    assert tokens.load(f"read:{ONE_HASH}", tmp_path / "tokens").scopes_of(ONE.encode()) == frozenset({READ})
    for other in (f"{ONE_HASH}", f"read+write:{ONE_HASH}"):
        with pytest.raises(TokensError, match="line 1: the same token stands before with other scopes"):
            tokens.load(other, tmp_path / "tokens")


NO_ENTRIES = [
    *(ONE, f"{ONE_HASH},", f"{ONE_HASH},{OTHER_HASH[:-1]}", "x" * 64),
    *(
        f"{scopes}:{ONE_HASH}"
        for scopes in ("", "admin", "READ", "read write", "read,write", "read+", "+", ONE)
    ),
    f"{ONE_HASH}:read",
]


@pytest.mark.parametrize("listed", NO_ENTRIES)
def test_an_entry_that_is_no_hash_is_refused_and_not_repeated(listed: str, tmp_path: Path) -> None:
    with pytest.raises(TokensError, match=r"PAYMENTS_TOKENS, entry \d: .*payments-core token") as raised:
        tokens.load(listed, None)
    file = tmp_path / "tokens"
    file.write_text(f"{ONE_HASH}\n{ONE}\n")
    with pytest.raises(TokensError, match="line 2") as in_file:
        tokens.load("", file)
    for error in (raised, in_file):
        assert ONE not in str(error.value).replace("payments-core", "")


def test_a_file_that_gives_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TokensError, match="cannot be read"):
        tokens.load("", tmp_path / "none")
    (tmp_path / "empty").write_text("# nobody yet\n")
    with pytest.raises(TokensError, match="has no token"):
        tokens.load(ONE_HASH, tmp_path / "empty")


# ---- requests -----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(
    ("fields", "challenge"),
    [
        ([], 'Bearer realm="payments"'),
        ([f"Basic {ONE}"], 'Bearer realm="payments"'),
        ([ONE], 'Bearer realm="payments"'),
        (["Bearer"], 'Bearer realm="payments"'),
        (["Bearer "], 'Bearer realm="payments"'),
        ([f"Bearer {ONE}", f"Bearer {ONE}"], 'Bearer realm="payments"'),
        (["Bearer wrong"], 'Bearer realm="payments", error="invalid_token"'),
        ([f"Bearer {ONE} {ONE}"], 'Bearer realm="payments", error="invalid_token"'),
    ],
)
async def test_without_a_known_token_nothing_happens(
    memory: Kit, method: str, fields: list[str], challenge: str
) -> None:
    async with guarded_over(memory.store, Settings(tokens=f"{ONE_HASH},{OTHER_HASH}")) as service:
        headers = [("authorization", each) for each in fields]
        for path in (PAYMENT, "/payments", "/metrics", "/nowhere"):
            answer = await service.http.request(method, path, headers=headers, content=b'{"amount_cents": 5}')
            problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"] == challenge
            assert answer.headers["x-request-id"]
    assert (await memory.contents()).payments == {}


@pytest.mark.anyio
async def test_with_a_known_token_all_is_served(memory: Kit) -> None:
    async with guarded_over(memory.store, Settings(tokens=f"{ONE_HASH},{OTHER_HASH}")) as service:
        for number, field in enumerate((f"Bearer {ONE}", f"bearer  {OTHER} ")):
            path = f"{PAYMENT[:-1]}{number}"
            answer = await service.http.put(path, json={"amount_cents": 5}, headers={"Authorization": field})
            assert answer.status_code == 201
            assert (await service.http.get("/metrics", headers={"Authorization": field})).status_code == 200


@pytest.mark.anyio
async def test_health_needs_none(memory: Kit) -> None:
    async with guarded_over(memory.store, Settings(tokens=ONE_HASH)) as service:
        for path in ("/healthz", "/readyz"):
            assert (await service.http.get(path)).status_code == 200
    async with guarded_over(memory.store) as service:
        assert (await service.http.get("/payments")).status_code == 200


# ---- the command line ---------------------------------------------------------------------------


@pytest.mark.parametrize("scopes", [(), (READ,), (METRICS, WRITE), (READ, READ)], ids=str)
def test_the_command_prints_a_token_and_its_entry(scopes: tuple[TokenScope, ...]) -> None:
    printed = invoke(["token", *(f"--scope={each}" for each in scopes)], {}).stdout
    (_, made), (_, entry) = (line.split() for line in printed.splitlines())
    assert hashlib.sha256(made.encode()).hexdigest() in entry
    assert tokens.load(entry, None).scopes_of(made.encode()) == (frozenset(scopes) or ALL)


def test_the_command_knows_no_other_scope() -> None:
    assert invoke(["token", "--scope", "admin"], {}).exit_code == 2


@pytest.mark.parametrize(
    ("host", "bound"), [("0.0.0.0", "0.0.0.0"), ("::", "::"), ("0", "0.0.0.0 (0)"), ("::0", ":: (::0)")]
)
@pytest.mark.parametrize("is_option", [True, False], ids=["--host", "PAYMENTS_HOST"])
def test_without_tokens_it_serves_loopback_only(host: str, bound: str, *, is_option: bool) -> None:
    options, variables = (["--host", host], {}) if is_option else ([], {"PAYMENTS_HOST": host})
    ended = invoke(["serve", "--port", "0", *options], {"DATABASE_URL": "postgresql://nowhere", **variables})
    assert ended.exit_code == 2
    assert ended.stderr.startswith(
        f"payments-core: without tokens it serves loopback addresses only, and {bound} is none"
    )
    for way in (
        "payments-core token",
        "PAYMENTS_TOKENS",
        "PAYMENTS_TOKENS_FILE",
        "PAYMENTS_ALLOW_UNAUTHENTICATED",
    ):
        assert way in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize(
    "variables", [{"PAYMENTS_TOKENS": ONE_HASH}, {"PAYMENTS_ALLOW_UNAUTHENTICATED": "yes"}], ids=str
)
def test_a_demonstration_serves_loopback_only(host: str, variables: dict[str, str]) -> None:
    ended = invoke(["serve", "--demo", "--port", "0", "--host", host], variables)
    assert ended.exit_code == 2
    assert f"a demonstration serves loopback addresses only, and {host} is none" in ended.stderr


@pytest.mark.parametrize("variables", [{"PAYMENTS_TOKENS": ONE}, {"PAYMENTS_TOKENS_FILE": "/nowhere/tokens"}])
def test_tokens_that_cannot_be_used_stop_it(variables: dict[str, str]) -> None:
    ended = invoke(["serve", "--port", "0"], variables)
    assert ended.exit_code == 2
    assert ended.stderr.startswith("payments-core: PAYMENTS_TOKENS")


@pytest.mark.parametrize(
    "variables", [{"PAYMENTS_TOKENS": ONE_HASH}, {"PAYMENTS_ALLOW_UNAUTHENTICATED": "yes"}], ids=str
)
def test_what_lets_it_serve_every_address(
    shared_database: Database, tmp_path: Path, variables: dict[str, str]
) -> None:
    with serving(tmp_path, ["--host", "0.0.0.0"], DATABASE_URL=shared_database.dsn, **variables) as server:
        assert server.url.startswith("http://0.0.0.0:")
        assert server.stop() == 0
