"""Gives the service a login of its own in the database: neither the owner of its tables nor a superuser.

It first refuses what is for trying things out only, where others than this machine could reach it.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping

import psycopg
from psycopg import sql

LOGIN = "payments_api"
WORKS_AS = "payments_app"
DEMO_PASSWORD = "only-for-local-use"  # noqa: S105 - that it is no secret is what is looked for
YES = frozenset({"1", "on", "t", "true", "y", "yes"})
"""What the service takes for a yes."""


def main() -> int:
    """Make or update the login; 0 if it is there, 2 if it may not be."""
    complaint = unsafe(os.environ)
    if complaint is not None:
        print(complaint, file=sys.stderr)  # noqa: T201 - kept by the container engine
        return 2
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=10) as connection:
        make_login(connection, os.environ["API_PASSWORD"])
    return 0


def unsafe(settings: Mapping[str, str]) -> str | None:
    """Why these settings may not be served at ``API_ADDRESS``; ``None`` if they may."""
    address = settings["API_ADDRESS"]
    if _is_loopback(address):
        return None
    beyond = f"API_ADDRESS={address} is no loopback"
    for name in ("API_PASSWORD", "POSTGRES_PASSWORD"):
        password = settings[name].strip()
        if password in {DEMO_PASSWORD, ""}:
            is_what = "the one of the demonstration" if password else "blank"
            return f"{name} is {is_what}, and {beyond}: set another"
    lets_everybody_in = settings["PAYMENTS_ALLOW_UNAUTHENTICATED"].lower() in YES
    # The service, too, takes blank tokens for none.
    if not settings["PAYMENTS_TOKENS"].strip() and not lets_everybody_in:
        return (
            f"there are no PAYMENTS_TOKENS, and {beyond}: whoever reaches it could capture; make a token: "
            "docker compose run --rm --no-deps api token"
        )
    return None


def make_login(connection: psycopg.Connection, password: str) -> None:
    """Make the login, or give the one that is there this password; it may do what the service may."""
    # The server is told the hash, so that no log of it has the password.
    hashed = connection.pgconn.encrypt_password(password.encode(), LOGIN.encode(), b"scram-sha-256").decode()
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [LOGIN]).fetchone()
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}").format(
            sql.SQL("CREATE" if found is None else "ALTER"), sql.Identifier(LOGIN), sql.Literal(hashed)
        )
    )
    connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(WORKS_AS), sql.Identifier(LOGIN)))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
