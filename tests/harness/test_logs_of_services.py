"""In a race errors are logged once each, and afterwards as before."""

from __future__ import annotations

import json

import pytest
import structlog

from payments_core.entrypoints.logs import configure_logs
from payments_verify.systems.logs import only_errors_logged


def test_an_error_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    with only_errors_logged():
        log = structlog.get_logger()
        for each in ("this", "that", "this"):
            log.info("no news")
            log.error("request failed", exc_info=ValueError(each))
    log = structlog.get_logger()
    log.info("as before")
    log.info("as before")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    failures = [line["exception"].splitlines()[-1] for line in lines if line["event"] == "request failed"]
    assert failures == ["builtins.ValueError: this", "builtins.ValueError: that"]
    assert [line["event"] for line in lines[2:]] == ["as before", "as before"]
