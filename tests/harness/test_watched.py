"""What a process tells those who watch it: lines that are missing, needless, or of another time are seen."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest

from payments_verify.patience import comes_true
from payments_verify.surface.lines import is_within
from payments_verify.systems.processes.asked import Served
from payments_verify.systems.processes.forked import Process
from payments_verify.systems.processes.watched import collector, wrong_lines

_KATHMANDU = timezone(timedelta(hours=5, minutes=45))
_NOW = datetime(2026, 11, 30, 18, 20, 33, 275_088, tzinfo=UTC)
_PAYMENT, _HEALTH = ("/payments", "a"), ("/healthz", "b")


@pytest.mark.parametrize(
    ("told", "is_right"),
    [
        (_NOW.isoformat().replace("+00:00", "Z"), True),
        (_NOW.isoformat(), True),
        ((_NOW - timedelta(seconds=9)).isoformat(), False),
        (_NOW.replace(tzinfo=None).isoformat(), False),
        (_NOW.astimezone(_KATHMANDU).isoformat(), False),
        (_NOW.astimezone(_KATHMANDU).replace(tzinfo=UTC).isoformat(), False),
        (_NOW.timestamp(), False),
        ("now", False),
        (None, False),
    ],
)
def test_a_time_of_a_line(told: object, is_right: bool) -> None:
    began = _NOW.timestamp() - 5
    assert is_within({"timestamp": told}, began, began + 5) is is_right
    assert not is_within({}, began, began + 5)


@pytest.mark.parametrize(
    ("level", "logged", "told"),
    [
        ("info", {"a"}, None),
        ("debug", {"a", "b"}, None),
        ("info", set(), "of a request of /payments is logged None"),
        ("info", {"a", "b"}, "of a request of /healthz is logged {"),
        ("debug", {"a"}, "of a request of /healthz is logged None"),
    ],
)
def test_lines_at_each_level(level: str, logged: set[str], told: str | None, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    lines = [
        {"event": "request", "request_id": each, "timestamp": datetime.now(UTC).isoformat()}
        for each in logged
    ]
    errors.write_text("".join(f"{json.dumps(each)}\n" for each in [{"level": "info"}, *lines]))

    async def wrong() -> str | None:
        process = Process(0, asyncio.get_running_loop().create_future(), errors, errors)
        async with httpx.AsyncClient() as http:
            return wrong_lines(Served(process, http, "", 0, [_PAYMENT, _HEALTH]), level)

    found = asyncio.run(wrong())
    assert found == told or (told is not None and told in str(found))


def test_a_collector_keeps_what_it_is_sent_and_answers_once_it_may() -> None:
    async def run() -> list[bytes]:
        async with collector() as made, httpx.AsyncClient(trust_env=False) as http:
            sent = asyncio.create_task(http.post(made.url, content=b"span"))
            assert await comes_true(lambda: bool(made.spans), 30)
            assert not sent.done()
            made.may_answer.set()
            assert (await sent).status_code == 200
            return made.spans

    assert asyncio.run(run()) == [b"span"]
