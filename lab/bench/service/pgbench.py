"""What this database can do on this machine: the service's own statements, sent by pgbench in pipelines."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from psycopg.conninfo import conninfo_to_dict

from lab.bench.service.database import AMOUNT_CENTS, AUTHORIZED_AT, EXPIRES_AT, FIRST_ID, IDS, SPREAD
from payments_core.infrastructure.postgres import statements as sql
from pgweave.embedded.binaries import find_binaries

_GRACE_S = 30
_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)$", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)
_LOG = "transactions"
SESSION = "-c role=payments_app -c enable_seqscan=off -c jit=off"  # as the service's
_CAPTURED_AT = "2026-01-01 00:00:01+00"
BODY = (
    '{"payment_id":"%s-0000-0000-0000-000000000000","outcome":"captured","amount_cents":1000,'
    '"captured_at":"2026-01-01T00:00:01.000000Z"}' % ("1" * 8)
)

_VALUES = {
    "done": 0,
    "state": "captured",
    "authorized": AUTHORIZED_AT,
    "expires": EXPIRES_AT,
    "captured": _CAPTURED_AT,
    "amount": AMOUNT_CENTS,
    "status": 201,
    "body": BODY,
}


class PgbenchError(RuntimeError):
    """pgbench could not be run, or did something else than captures; the message says what."""


class Paced(msgspec.Struct, frozen=True, kw_only=True):
    """What pgbench saw.

    Attributes:
        transactions: how many it ran.
        per_second: the same by time.
        latencies: of each transaction, in µs.
    """

    transactions: int
    per_second: float
    latencies: list[int]


def script(pipelines: int, first: int, each: int) -> str:
    """A capture of the next payment, in the service's own statements.

    Args:
        pipelines: 2 to read before it writes, as the service does; 1 for all at once, without a decision.
        first: the number of the first payment.
        each: how many payments there are for each client.
    """
    payment = "rpad(:id, 32, '0')::uuid"
    reads = [
        sql.BEGIN,
        fill(sql.LOCK_PAYMENT, [payment]),
        fill(sql.FIND_ATTEMPT, [payment, payment, ":key"]),
        sql.READ_CLOCK,
    ]
    update = [":state", ":authorized", ":expires", ":captured", ":amount", "NULL", "NULL", payment]
    insert = [payment, ":key", ":amount", ":state", ":captured", ":status", ":body", "3"]
    writes = [fill(sql.UPDATE_PAYMENT, update), fill(sql.INSERT_ATTEMPT, insert), sql.COMMIT]
    groups = [reads, writes] if pipelines == 2 else [[*reads, *writes]]
    lines = [
        f"\\set number {first} + :client_id * {each} + :done",
        "\\set done :done + 1",
        f"\\set id {FIRST_ID} + :number * {SPREAD} % {IDS}",
        "\\set key :id",
    ]
    for group in groups:
        lines += ["\\startpipeline", *(f"{statement};" for statement in group), "\\endpipeline"]
    return "\n".join(lines) + "\n"


def fill(statement: str, values: Sequence[str]) -> str:
    """A statement of psycopg's with these in the place of its parameters, on one line."""
    parts = statement.split("%s")
    if len(parts) != len(values) + 1:
        raise PgbenchError(f"{len(parts) - 1} parameters, and {len(values)} values: {statement}")
    filled = "".join(part + value for part, value in zip(parts, [*values, ""], strict=True))
    return " ".join(filled.split())


def run(dsn: str, text: str, *, seconds: float, clients: int, threads: int = 1) -> Paced:
    """Run a script for some seconds.

    Args:
        dsn: the database.
        text: the script.
        seconds: for how long, a whole number.
        clients: sessions.
        threads: of pgbench.

    Raises:
        PgbenchError: it failed.
    """
    address = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}
    with tempfile.TemporaryDirectory(prefix="payments-bench-") as name:
        folder = Path(name)
        (folder / "capture.sql").write_text(text)
        command = [str(find_binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", "--log"]
        command += [
            f"--log-prefix={_LOG}",
            f"--client={clients}",
            f"--jobs={threads}",
            f"--time={seconds:.0f}",
        ]
        command += [f"--define={variable}={value}" for variable, value in _VALUES.items()]
        command += ["--file=capture.sql", address["dbname"]]
        variables = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        given = {variable: address[part] for variable, part in variables.items()}
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_S,
            check=False,
            cwd=folder,
            env={**os.environ, **given, "PGOPTIONS": SESSION},
        )
        if ended.returncode != 0:
            raise PgbenchError(f"pgbench ended with {ended.returncode}: {ended.stderr.strip()[-2_000:]}")
        latencies = [
            parsed for log in folder.glob(f"{_LOG}.*") for parsed in parse_log(log.read_text().splitlines())
        ]
    return parse(ended.stdout, latencies)


def parse(printed: str, latencies: list[int]) -> Paced:
    """What pgbench prints in the end.

    Raises:
        PgbenchError: it is not there, or is about other transactions than the latencies.
    """
    tps, done = _TPS.search(printed), _DONE.search(printed)
    if tps is None or done is None:
        raise PgbenchError(f"pgbench printed no result: {printed.strip()[-2_000:]}")
    if int(done[1]) != len(latencies):
        raise PgbenchError(f"pgbench ran {done[1]} transactions, and logged {len(latencies)}")
    return Paced(transactions=int(done[1]), per_second=float(tps[1]), latencies=latencies)


def parse_log(lines: Sequence[str]) -> list[int]:
    """The latency of each transaction in a log of pgbench, in µs: the third field of each line.

    Raises:
        PgbenchError: a transaction failed or was skipped, which the log says in the place of its latency.
    """
    fields = [line.split()[2] for line in lines]
    strange = [field for field in fields if not field.isdigit()]
    if strange:
        raise PgbenchError(f"{len(strange)} transactions did not succeed: {strange[0]}")
    return [int(field) for field in fields]
