"""`migrate`, cut wherever it leaves something behind, and run again; for a login that has limits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable

import psycopg

from payments_core.infrastructure.postgres.migrate import migrate
from payments_verify.patience import comes_true
from payments_verify.payments.faults.pool_probe import stops
from payments_verify.systems.database import unmigrated_database
from payments_verify.systems.schema import schema_of
from pgweave.gate import Fault, Gate, HeldStatement, Session
from pgweave.gate.proxy import PassAll

_RUNS = 200
"""More than there are places to cut at: each run is cut at another."""
_LIMIT_S = 30.0
_OF_THE_LOGIN = 83_521_000
"""A limit in ms that nobody else sets, and that no migration comes to."""
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
_HAS_TRANSACTION_TIMEOUT = 170_000
_KEPT = "a migration may take no longer than its login may, by "
_REFUSES_LIMITS = f"""
CREATE SCHEMA limits;
CREATE FUNCTION limits.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
    kept text := (SELECT string_agg(name, ', ') FROM pg_settings WHERE setting = '{_OF_THE_LOGIN}');
BEGIN
    IF kept IS NOT NULL THEN RAISE '{_KEPT}%', kept; END IF;
END
$$;
CREATE EVENT TRIGGER limits ON ddl_command_start EXECUTE FUNCTION limits.refuse();
"""  # noqa: S608 - built from constants
_APPLIED = "SELECT migration_id FROM _yoyo_migration ORDER BY migration_id"
_SAVEPOINT, _COMMIT = "SAVEPOINT", "COMMIT"
_TRIED_AGAIN = 'INSERT INTO "yoyo_lock"'
"""Who is cut there goes on trying for 10 s; what is left then is left after the next statement, too."""
_ENDS, _LEAVES_NOTHING = {_COMMIT, "ROLLBACK"}, {"BEGIN", "ROLLBACK"}
_WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


class _Cutting(PassAll):
    """Cuts each migrator once, at a place at which none was cut before.

    Places are after statements that are no part of a transaction, or end one: only these leave something.

    Attributes:
        cut: after which statement this one was cut; ``None`` if it was not.
    """

    def __init__(self) -> None:
        self.cut: str | None = None
        self._places: set[str] = set()
        self._before: defaultdict[Session, str] = defaultdict(str)

    def begin(self) -> None:
        """Watch the next migrator."""
        self.cut = None
        self._before.clear()

    def decide_to_hold(self, _session: Session) -> bool:
        return True

    def held(self, statement: HeldStatement) -> None:
        session, sql = statement.session, statement.sql
        if session.block.is_open and sql not in _ENDS:
            self._before[session] += "" if sql.startswith(_SAVEPOINT) else sql
            statement.release()
            return
        place = self._before.pop(session, "") + sql
        leaves = sql not in _LEAVES_NOTHING and _TRIED_AGAIN not in place
        if self.cut is not None or place in self._places or not leaves:
            statement.release()
            return
        self._places.add(place)
        self.cut = f"{sql} of {' '.join(place.split())[:60]}…" if sql == _COMMIT else " ".join(sql.split())
        statement.release(Fault.CUT_AFTER)


async def wrong_migrations(dsn: str) -> str | None:
    """What keeps a schema from being made, if anything: what migrators leave behind, or take from a login.

    Args:
        dsn: a prepared database, whose owner is a superuser; others are made beside it.
    """
    return await _cut(dsn) or await _side_by_side(dsn)


async def _cut(dsn: str) -> str | None:
    """Migrate one database again and again, each time up to the next place, until nobody is cut any more."""
    with unmigrated_database(dsn) as empty:
        _limit_logins(empty)
        async with Gate.open(empty, bool) as gate:
            gate.observer = cutting = _Cutting()
            before = "nothing"
            for _ in range(_RUNS):
                cutting.begin()
                try:
                    await asyncio.to_thread(migrate, gate.socket_dsn)
                except Exception as error:  # noqa: BLE001 - whatever it is, nobody has cut it
                    if cutting.cut is None:
                        return f"I9: migrate, after one that was cut after {before}: {error}"
                if cutting.cut is None:
                    return _unlike(empty, dsn)
                before = cutting.cut
    return f"I9: migrate has more than {_RUNS} places at which it leaves something behind"


async def _side_by_side(dsn: str) -> str | None:
    """Of two migrators that come at once the second waits for the first, and finds nothing to do."""
    with unmigrated_database(dsn) as empty, psycopg.connect(empty, autocommit=True) as connection:

        def waits() -> bool:
            return connection.execute(_WAITS).fetchone() == (True,)

        async with Gate.open(empty, _is_of_the_schema) as gate:
            async with stops(gate) as stopped:
                first = asyncio.create_task(asyncio.to_thread(migrate, gate.socket_dsn))
                await comes_true(lambda: bool(stopped.held_now) or first.done(), _LIMIT_S)
                second = asyncio.create_task(asyncio.to_thread(migrate, empty))
                await comes_true(lambda: second.done() or waits(), _LIMIT_S)
            ended = await asyncio.gather(first, second, return_exceptions=True)
        for error in ended:
            if isinstance(error, BaseException):
                return f"I9: two migrators at once: {error}"
        return _unlike(empty, dsn)


def _is_of_the_schema(sql: str) -> bool:
    return "CREATE TABLE payments" in sql


def _limit_logins(dsn: str) -> None:
    """Set every limit of time for whoever logs in, and refuse what is made under one of them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        database, version = connection.info.dbname, connection.info.server_version
        connection.execute(_REFUSES_LIMITS.encode())
        for each in _LIMITS:
            if each != "transaction_timeout" or version >= _HAS_TRANSACTION_TIMEOUT:
                setting = f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET {each} = {_OF_THE_LOGIN}"
                connection.execute(setting.encode())


def _unlike(made: str, dsn: str) -> str | None:
    """How a database differs from one that was migrated in one go; ``None`` if it does not."""
    looked_at: tuple[Callable[[str], object], ...] = (schema_of, _applied)
    if [look(made) for look in looked_at] == [look(dsn) for look in looked_at]:
        return None
    return "I9: migrate was cut, and run again, and the schema is not that of a migrate which was not"


def _applied(dsn: str) -> object:
    with psycopg.connect(dsn) as connection:
        return connection.execute(_APPLIED).fetchall()
