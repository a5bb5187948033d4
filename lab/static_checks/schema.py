"""Ask a migrated database to do what it has to refuse; everything is rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from lab.static_checks.findings import Findings
from lab.static_checks.probes import CONSTRAINTS, GRANTED, LEGAL, RIGHTS, ROLE, Probe

_DURABLE = {"on", "remote_apply", "remote_write"}
_AS_NEEDED = {
    "default_transaction_isolation": ("read committed", "I9"),
    "standard_conforming_strings": ("on", "I3"),
    "schema": ("public", "I8"),
}
"""What a session has to have whatever the database's own settings are, and the invariant that it is for."""
_LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
_CLOCK = """
    SELECT abs(extract(epoch FROM payment_clock() - clock_timestamp())) < 60
       AND payment_clock() < (SELECT payment_clock() FROM pg_sleep(0.002))
"""
_RIGHTS = """
    WITH granted AS (
        SELECT relname AS object, acl.* FROM pg_class, aclexplode(relacl) AS acl
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT relname || '.' || attname, acl.*
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl) AS acl
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT nspname, acl.*
        FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS acl
        WHERE nspname = 'public'
    )
    SELECT concat(privilege_type, ' on ', object, CASE WHEN is_grantable THEN ' to hand on' END) FROM granted
    WHERE grantee IN (0, (%(role)s::text)::regrole)
    UNION ALL SELECT concat('everything as ', roleid::regrole) FROM pg_auth_members
    WHERE member = (%(role)s::text)::regrole
    UNION ALL SELECT concat('all that the owner may, by ', proname) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prosecdef
"""


def check_schema(dsn: str) -> Findings:
    """Try every probe as the owner of a migrated database whose clock is its own.

    Raises:
        psycopg.Error: if the database cannot be used.
    """
    problems: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        problems += unrefused(connection)
        for path in LEGAL:
            problem = _refused(connection, path)
            if problem is not None:
                problems.append(f"I9: the schema refuses what is legal: {problem}")
        problems += _wrong_rights(connection)
        if not _clock_goes_on(connection):
            problems.append("I5: payment_clock() does not go on within a transaction")
    return Findings(len(CONSTRAINTS) + len(RIGHTS) + len(GRANTED) + len(LEGAL) + 1, problems)


def unrefused(connection: psycopg.Connection) -> Sequence[str]:
    """What the schema does not refuse as it has to, each with the invariant that it breaks.

    Args:
        connection: the owner's. Whatever is done is taken back.
    """
    found = ((probe, _accepted(connection, probe)) for probe in (*CONSTRAINTS, *RIGHTS))
    return [f"{probe.invariant}: {problem}" for probe, problem in found if problem is not None]


def check_session(session: dict[str, str]) -> Findings:
    """Whether a session of the service is what it has to be.

    Args:
        session: settings by name, on a database whose own are others; ``is_superuser`` of the role that it
            works as, and the ``schema`` where it finds its tables.
    """
    problems = []
    if session["synchronous_commit"] not in _DURABLE:
        problems.append(
            f"I7: the service's sessions have synchronous_commit = {session['synchronous_commit']}: "
            "COMMIT is answered before it is durable"
        )
    if session["is_superuser"] != "off":
        problems.append("I2: the service works as a superuser, whom no right restrains")
    problems += [
        f"{broken}: the service's sessions have {name} = {session[name]}, as the database has it"
        for name, (needed, broken) in _AS_NEEDED.items()
        if session[name] != needed
    ]
    endless = [name for name in _LIMITS if session[name] == "0"]
    problems += [f"I9: the service's sessions have no {name}" for name in endless]
    return Findings(len(session), problems)


def _accepted(connection: psycopg.Connection, probe: Probe) -> str | None:
    """What is wrong if the probe is not refused as it has to be."""
    try:
        with connection.transaction(force_rollback=True):
            _run(connection, probe.before)
            try:
                with connection.transaction():
                    if probe.right:
                        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(ROLE)))
                    _run(connection, [probe.forbidden])
                    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except psycopg.errors.InsufficientPrivilege:
                return None if probe.right else "the owner is refused for want of a right"
            except psycopg.errors.IntegrityError:
                return f"only a constraint stands against it: {probe.what}" if probe.right else None
    except (psycopg.errors.IntegrityError, psycopg.errors.ProgrammingError) as error:
        return f"cannot be tried: {probe.what}: {error.diag.message_primary}"
    return f"nothing refuses it: {probe.what}"


def _refused(connection: psycopg.Connection, path: Sequence[str]) -> str | None:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(ROLE)))
            _run(connection, path)
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.InsufficientPrivilege) as error:
        return error.diag.message_primary
    return None


def _wrong_rights(connection: psycopg.Connection) -> Iterator[str]:
    """What the service's role may do beyond what it has to, and what it may not."""
    found = {right for (right,) in connection.execute(_RIGHTS, {"role": ROLE}).fetchall()}
    yield from (f"I2, I3: the service may {right}, which it never does" for right in sorted(found - GRANTED))
    yield from (f"I9: the service lacks {right}" for right in sorted(GRANTED - found))


def _run(connection: psycopg.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def _clock_goes_on(connection: psycopg.Connection) -> bool:
    with connection.transaction():
        connection.execute("SELECT 1")
        row = connection.execute(_CLOCK).fetchone()
    return row is not None and row[0] is True
