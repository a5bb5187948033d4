"""A connection string holds a password, and nothing that the harness prints has it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from payments_verify.audit import AuditError, audit
from payments_verify.cli import app
from pgweave.visible import without_passwords
from tests.support.dsn import CONFUSED, MARKER, UNDERSTOOD


@pytest.mark.parametrize("dsn", [*CONFUSED, *UNDERSTOOD])
def test_an_audit_prints_no_password(dsn: str) -> None:
    given = CliRunner().invoke(app, ["audit", "--", dsn])
    of_environment = CliRunner().invoke(app, ["audit"], env={"DATABASE_URL": dsn})
    for ended in (given, of_environment):
        assert ended.exit_code == 2
        assert ended.stderr.startswith("payments-verify: ")
        assert MARKER not in ended.output


def test_an_audit_that_is_called_raises_none() -> None:
    for dsn in (CONFUSED[0], CONFUSED[-1]):
        with pytest.raises(AuditError) as refused:
            audit(dsn)
        error: BaseException | None = refused.value
        while error is not None:
            assert MARKER not in str(error), dsn
            error = error.__cause__


@pytest.mark.parametrize("dsn", [CONFUSED[3], UNDERSTOOD[-1]])
def test_a_command_that_does_not_serve_is_told_without_it(dsn: str, tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text(f'echo "cannot connect to {dsn}"\nexit 1\n')
    ended = CliRunner().invoke(app, ["conformance", "--command", f'OTHER="{dsn}" sh {script}'])
    assert ended.exit_code == 2
    assert "cannot connect to " in ended.stderr
    assert MARKER not in ended.output


def test_what_is_no_password_stays() -> None:
    text = "http://127.0.0.1:8000/payments password authentication failed for user@host at 12:00"
    assert without_passwords(text) == text
