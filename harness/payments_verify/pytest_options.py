"""The options of the pytest plugin, and whether they can be meant. It loads nothing of the harness."""

from __future__ import annotations

import pytest


def add_options(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("payments", "a payment capture service, compared with the formal model")
    group.addoption("--payments-url", metavar="URL", help="a service that runs: levels 1 to 3")
    group.addoption(
        "--payments-command", metavar="CMD", help="start the service with this command: all levels"
    )
    group.addoption(
        "--payments-server", metavar="DSN", help="with a command: make its databases on this server"
    )
    group.addoption("--payments-binding", metavar="FILE", help="how its HTTP says what the model says")
    group.addoption("--payments-level", metavar="N", type=int, help="the last level to examine")
    group.addoption("--payments-quick", action="store_true", help="try less of what cannot be exhausted")
    group.addoption(
        "--payments-seed", metavar="N", type=int, help="repeats what is drawn; drawn anew if not given"
    )
    group.addoption(
        "--payments-output", metavar="DIR", default="build/conformance", help="for histories and pictures"
    )


def check_server(server: str | None, command: str | None) -> None:
    """See that a server can be meant.

    Raises:
        UsageError: the service is not started here, or it is no connection string.
    """
    if server is None:
        return
    if command is None:
        raise pytest.UsageError("--payments-server goes with --payments-command: databases are made for it")
    from payments_verify.systems.dsn import DsnError, require_dsn  # noqa: PLC0415 - as in the plugin

    try:
        require_dsn(server)
    except DsnError as error:
        raise pytest.UsageError(f"--payments-server: {error}") from None
