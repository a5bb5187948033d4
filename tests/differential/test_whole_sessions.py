"""A whole process of the service whose sessions are not what they have to be."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from psycopg.errors import Diagnostic

from payments_core.entrypoints import wiring
from payments_core.infrastructure.postgres import (
    batch,
    connection,
    fitness,
    hosts,
    replication,
    session,
    statements,
    store,
)
from payments_core.infrastructure.postgres.connection import Connection
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database
from payments_verify.systems.whole.checks import whole_checks
from payments_verify.systems.whole.given_up import nothing_collected
from payments_verify.systems.whole.several_hosts import wrong_among_hosts
from payments_verify.systems.whole.unusable_sessions import Asked
from pgweave.gate import Gate
from tests.support.exploring import run
from tests.support.postgres import chosen_bin_dir

UNREPLICATED, OF_NO_USE = "what no standby has", "sessions of no use"
LENT = "sessions that are lent"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


@pytest.mark.invariant("I7")
@pytest.mark.parametrize(
    "bug",
    ["no warning is heard", "a refusal rolls back", "a repetition rolls back", "a creation is only read"],
)
def test_what_no_standby_has_and_is_answered_is_found(
    dsn: str, bug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    match bug:
        case "no warning is heard":
            monkeypatch.setattr(replication.Replicated, "__exit__", lambda *_: None)
            expected = "I7: a creation is answered 201"
        case "a refusal rolls back":
            execute = batch.execute
            monkeypatch.setattr(
                store,
                "_execute",
                lambda connection, query, *more: execute(
                    connection, statements.ROLLBACK if query == statements.COMMIT else query, *more
                ),
            )
            expected = "I7: an authorization that the state refuses is answered 409"
        case "a repetition rolls back":
            monkeypatch.setattr(store._LockedPayment, "commit", _commit_what_changes)  # noqa: SLF001
            expected = "I7: a refusal that is repeated is answered 422"
        case _:
            monkeypatch.setattr(statements, "FIND_CREATED", statements.GET_PAYMENT)
            expected = "I7: a creation that is repeated is answered 200"
    assert str(run(whole_checks(dsn)[UNREPLICATED]())).startswith(expected)


_COMMIT = store._LockedPayment.commit  # noqa: SLF001


async def _commit_what_changes(self: Any, payment: Any = None, attempt: Any = None) -> None:
    if payment is not None or attempt is not None:
        await _COMMIT(self, payment, attempt)


@pytest.mark.invariant("I7")
def test_what_commits_nothing_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store._LockedPayment, "commit", _commit_what_changes)  # noqa: SLF001
    told = str(run(whole_checks(dsn)[LENT]()))
    assert told.startswith("I7: with PAYMENTS_ISOLATION=read committed POST /payments/ID/captures commits no")


@pytest.mark.invariant("I9")
def test_sessions_that_are_refused_and_left_open_are_found(
    dsn: str, left: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon = Connection.abandon
    monkeypatch.setattr(
        Connection, "abandon", lambda each: abandon(each) if each.prepared else left.append(each)
    )
    monkeypatch.setattr("payments_verify.systems.whole.given_up._LIMIT_S", 0.1)
    told = str(run(whole_checks(dsn)[OF_NO_USE]()))
    assert told.startswith("I9: the server is a standby, and ")
    assert told.endswith(" sessions stay open, of a service that may have 3")


def test_no_garbage_is_collected_meanwhile() -> None:
    with nothing_collected():
        assert not gc.isenabled()
        with nothing_collected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.invariant("I9")
def test_sessions_that_are_waited_for_without_a_limit_are_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "asyncio", SimpleNamespace(timeout=lambda _: asyncio.timeout(None)))
    monkeypatch.setattr("payments_verify.systems.whole.unusable_sessions.LIMIT_S", 1.0)
    told = str(run(whole_checks(dsn)[OF_NO_USE]()))
    assert told == "I9: the server falls silent as a session begins, and for 1 s none is given up"


@pytest.mark.invariant("I9")
def test_a_session_of_the_slower_host_that_is_left_open_is_found(
    dsn: str, left: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first_of(openings: Sequence[Callable[[], Coroutine[Any, Any, Connection]]]) -> Connection:
        opened = await asyncio.gather(*(each() for each in openings))
        left.extend(opened)
        return opened[0]

    monkeypatch.setattr(connection, "first_of", first_of)
    monkeypatch.setattr("payments_verify.systems.whole.given_up._LIMIT_S", 0.1)
    told = str(run(whole_checks(dsn)[OF_NO_USE]()))
    assert told.startswith("I9: two hosts are tried at once, and ")


@pytest.mark.parametrize(
    ("module", "missing", "told"),
    [
        (session, "require_guards", "I2, I6: the guards are off, and GET /payments/"),
        (session, "require_primary", "I8: the server is a standby, and GET /payments/"),
        (fitness, "require_guards", "I9: session_replication_role of open sessions is replica, and /readyz"),
        (fitness, "require_writable", "I9: transaction_read_only of open sessions is on, and /readyz"),
        (fitness, "require_primary", "I9: in_hot_standby of open sessions is on, and /readyz answers 200"),
    ],
)
def test_a_state_of_sessions_that_is_not_looked_at_is_found(
    dsn: str, module: ModuleType, missing: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.surface.readiness.LIMIT_S", 1.0)
    monkeypatch.setattr(module, missing, lambda _: None)
    assert str(run(whole_checks(dsn)[OF_NO_USE]())).startswith(told)


@pytest.mark.invariant("I9")
def test_sessions_that_stay_though_they_cannot_write_are_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.unusable_sessions.LIMIT_S", 1.0)
    monkeypatch.setattr(batch, "_OF_NO_USE", ())
    told = run(whole_checks(dsn)[OF_NO_USE]())
    assert told == "I9: nothing can be written: that is over, and some requests are refused for 1 s"


@pytest.mark.invariant("I10")
def test_another_level_of_isolation_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "BEGIN_SERIALIZABLE", statements.BEGIN)
    told = str(run(whole_checks(dsn)[LENT]()))
    assert (
        told == "I10: with PAYMENTS_ISOLATION=serializable POST /payments/ID/authorize runs at read committed"
    )


def test_what_is_left_in_a_lent_session_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all = session.set_all
    monkeypatch.setattr(session, "set_all", lambda settings, **_: set_all(settings))
    told = str(run(whole_checks(dsn)[LENT]()))
    assert told.startswith("I9: a session that a pooler lends is left with client_min_messages = notice, ")
    assert "role = payments_app, " in told


def test_a_lent_session_without_its_settings_is_found(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch.Batch, "_open", lambda *_: None)
    told = str(run(whole_checks(dsn)[LENT]()))
    assert told.startswith("I7: with PAYMENTS_POOLER_MODE=transaction PUT /payments/ID has ")


@pytest.mark.invariant("I9")
def test_a_lent_session_whose_isolation_is_that_of_others_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def within_what_is_begun(sent: batch.Batch, opening: str) -> None:
        place = int(sent.statements[0][0].startswith("BEGIN"))
        sent.statements.insert(place, (opening, (), batch.Reply(sent._connection)))  # noqa: SLF001

    monkeypatch.setattr(batch.Batch, "_open", within_what_is_begun)
    told = str(run(whole_checks(dsn)[LENT]()))
    assert told.startswith("I9: with PAYMENTS_POOLER_MODE=transaction PUT /payments/ID has ")
    assert told.endswith(" has transaction_isolation = repeatable read, and not read committed")


@pytest.mark.invariant("I7")
@pytest.mark.parametrize(
    ("name", "breaks"),
    [
        ("synchronous_commit", "I7"),
        ("client_min_messages", "I7"),
        ("search_path", "I8"),
        ("role", "I2"),
        ("jit", "I9"),
    ],
)
def test_settings_that_are_made_where_they_differed_once_are_found(
    dsn: str, name: str, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all = session.set_all

    def those_that_differ(settings: dict[str, str], *, is_local: bool = False) -> str:
        without = {each: value for each, value in settings.items() if each != name}
        return set_all(without if is_local else settings, is_local=is_local)

    monkeypatch.setattr(session, "set_all", those_that_differ)
    wrong = str(run(whole_checks(dsn)[LENT]()))
    assert wrong.startswith(f"{breaks}: with PAYMENTS_POOLER_MODE=transaction PUT /payments/ID has {name} =")


@pytest.mark.invariant("I9")
def test_a_lent_session_whose_settings_undo_the_short_wait_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def after_settings(sent: batch.Batch, opening: str) -> None:
        open_first(sent, opening)
        first, settings, second, *others = sent.statements
        if second[0].startswith("SELECT set_config"):
            sent.statements = [first, second, settings, *others]

    open_first = batch.Batch._open  # noqa: SLF001
    monkeypatch.setattr(batch.Batch, "_open", after_settings)
    told = str(run(whole_checks(dsn)[LENT]()))
    assert told.startswith(
        "I9: with PAYMENTS_POOLER_MODE=transaction PUT /payments/ID, where as many wait for "
    )
    assert told.endswith(" has lock_timeout = 3600000, and not 2")


@pytest.mark.invariant("I7")
def test_warnings_that_are_heard_in_english_alone_are_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note(warnings: list[str | None], told: Diagnostic) -> None:
        if told.severity == "WARNING":
            warnings.append(told.message_primary)

    monkeypatch.setattr(connection, "_note_warning", note)
    told = str(run(whole_checks(dsn)[UNREPLICATED]()))
    assert told.startswith("I7: a creation is answered 201")
    assert told.endswith("(PAYMENTS_POOLER_MODE=transaction)")


def test_a_service_that_takes_a_standby_among_several_hosts_is_found(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.surface.readiness.LIMIT_S", 1.0)
    monkeypatch.setitem(session._OF_SEVERAL, "target_session_attrs", "any")  # noqa: SLF001
    told = str(run(whole_checks(dsn)[OF_NO_USE]()))
    assert told.startswith("I9: one of two hosts has become a standby, the other one the primary")


@pytest.mark.invariant("I9")
@pytest.mark.parametrize(
    ("unknown", "told"),
    [
        (("host", "hostaddr", "port"), "where PGHOST and PGPORT name the hosts"),
        (("port",), "where PGHOST and PGPORT name the hosts"),
        (("hostaddr",), "where PGHOSTADDR and PGPORT name the hosts"),
    ],
)
def test_hosts_of_the_environment_that_are_not_counted_are_found(
    dsn: str, unknown: Sequence[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("payments_verify.systems.whole.several_hosts.LIMIT_S", 1.0)
    monkeypatch.setattr("payments_verify.surface.readiness.LIMIT_S", 1.0)
    known = {name: "NOWHERE" if name in unknown else variable for name, variable in hosts._LISTS.items()}  # noqa: SLF001
    monkeypatch.setattr(hosts, "_LISTS", known)
    with new_database(dsn) as new:
        wrong = str(run(wrong_among_hosts(new)))
    assert wrong.startswith("I9: ")
    assert wrong.endswith(told)


class NotYet:
    """A service that has no connection for the first requests."""

    def __init__(self) -> None:
        self.created: list[int] = []

    async def request(self, method: str, _path: str, **_more: Any) -> httpx.Response:
        if method == "GET":
            return httpx.Response(200)
        self.created.append(503 if len(self.created) < 3 else 200 if 201 in self.created else 201)
        return httpx.Response(self.created[-1])


def test_the_payment_that_is_asked_for_is_there_though_the_first_requests_were_refused() -> None:
    asked = Asked(http := NotYet(), cast("Gate", None))
    assert run(asked.prepare()) is None
    assert http.created.count(201) == 1
    assert http.created[-2:] == [200, 200]
