"""schemathesis against the service as it is shipped: every check; examples, boundaries, chance and links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from payments_core.entrypoints import tokens
from payments_core.entrypoints.http.app import create_app
from payments_core.entrypoints.http.contract.operations import OPERATIONS
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.support.postgres import Database
from tests.support.processes import environment, serving
from tests.support.threads import served

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).parent / "schemathesis.toml"
_LIMIT_S = 300 + 20 * EXAMPLES


@pytest.mark.parametrize("has_tokens", [False, True], ids=["without tokens", "with tokens"])
def test_the_service_keeps_its_contract(
    shared_database: Database, tmp_path: Path, *, has_tokens: bool
) -> None:
    settings = {"DATABASE_URL": shared_database.app_dsn, "PAYMENTS_LOG_LEVEL": "warning"}
    token, digest = tokens.make()
    with serving(tmp_path, **settings, PAYMENTS_TOKENS=digest if has_tokens else "") as server:
        headers = {"Authorization": f"Bearer {token}"} if has_tokens else {}
        tried = schemathesis(server.url, tmp_path, headers=headers)
        assert tried.returncode == 0, f"{tried.stdout}\n{tried.stderr}\n{server.printed}"
        assert "Traceback" not in server.printed
    assert operations_tested(tried.stdout) == len(OPERATIONS)
    assert links_covered(tried.stdout) >= 10
    sys.stdout.write(f"\nschemathesis: {cases(tried.stdout)}\n")  # `make fuzz` shows it


@dataclass
class Altered:
    """The service, but for what one kind of answer says."""

    app: ASGIApp
    of: bytes
    now: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] == "/openapi.json":
            await self.app(scope, receive, send)
            return

        async def altered(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [each for each in message["headers"] if each[0] != b"content-length"]
                message = {**message, "headers": fields}
            elif self.of in message.get("body", b""):
                message = {**message, "body": message["body"].replace(self.of, self.now)}
            await send(message)

        await self.app(scope, receive, altered)


@pytest.mark.parametrize(
    ("of", "now"),
    [
        (b'"outcome":"captured","amount_cents"', b'"outcome":"captured","amount"'),
        (b'"/problems/already_captured"', b'"/problems/captured_already"'),
        (b'"failure_reason":"voided"', b'"failure_reason":"avoided"'),
    ],
    ids=["the first capture", "a refusal of the second", "after a failure"],
)
def test_an_answer_that_breaks_it_is_found_at_the_end_of_links(tmp_path: Path, of: bytes, now: bytes) -> None:
    store = InMemoryPaymentStore(lambda: time.time_ns() // 1_000)
    with served(Altered(create_app(store), of, now)) as url:
        tried = schemathesis(url, tmp_path, phases="stateful", examples=100, stop=True)
    assert tried.returncode == 1, tried.stdout
    assert "Response violates schema" in tried.stdout, tried.stdout


def operations_tested(printed: str) -> int:
    """How many operations schemathesis says it tested."""
    (count,) = re.findall(r"^ +Tested: (\d+)$", printed, re.MULTILINE)
    return int(count)


def cases(printed: str) -> str:
    """What schemathesis says of how many requests it made."""
    (line,) = re.findall(r"^ *(\d+ generated.*)$", printed, re.MULTILINE)
    return str(line)


def links_covered(printed: str) -> int:
    """How many links schemathesis says it followed from one answer to the next request."""
    (count,) = re.findall(r"^ +API Links: +(\d+) covered", printed, re.MULTILINE)
    return int(count)


def schemathesis(
    url: str,
    folder: Path,
    phases: str = "examples,coverage,fuzzing,stateful",
    examples: int = EXAMPLES,
    stop: bool = False,
    headers: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Try the service at ``url``, to the end or to the first failure."""
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    options = [
        "--max-examples",
        str(examples),
        "--phases",
        phases,
        "--no-color",
        "--generation-database",
        "none",
    ]
    options += ["--max-failures", "1"] if stop else []
    options += [f"--header={name}: {value}" for name, value in (headers or {}).items()]
    return subprocess.run(
        [sys.executable, "-c", program, "--config-file", str(CONFIG), "run", f"{url}/openapi.json", *options],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        cwd=folder,
        env=environment(PYTHONPATH=str(ROOT)),
        check=False,
    )
