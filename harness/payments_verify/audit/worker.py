"""A process that audits shares of a snapshot, and writes what it finds as lines of JSON.

It is started with ``-O``, which leaves out the contracts of the model: they are confirmed for all values, and
need not be asked again for each event.
"""

from __future__ import annotations

import resource
import sys
from collections import Counter
from typing import BinaryIO

import msgspec

from payments_verify.audit.compare import examine
from payments_verify.audit.findings import Counts, Finding, finding
from payments_verify.audit.snapshot import Connection, Part, connected, join
from payments_verify.audit.stream import pasts, without_payment
from pgweave.visible import counted

_MIB_IN_KIB = 1024
_NO_PAYMENT = bytes(16)
_OF_TABLES = {"payments": "I2", "capture_attempts": "I3", "payment_events": "I12"}


class Task(msgspec.Struct, frozen=True):
    """What a worker is to do: its standard input.

    Attributes:
        dsn: the database's connection string.
        snapshot: the name of the snapshot to read.
        parts: which payments, in this order.
        limit: how many findings to tell in full.
    """

    dsn: str
    snapshot: str
    parts: list[Part]
    limit: int


class Done(msgspec.Struct, kw_only=True):
    """What was found in one part: a line of standard output.

    Attributes:
        counts: how much was looked at.
        findings: the findings, as long as the worker's limit allows.
        peak_mib: the most memory that the worker has used so far, in MiB.
    """

    counts: Counts
    findings: list[Finding]
    peak_mib: float


def work(task: Task, output: BinaryIO) -> None:
    """Do a task.

    Raises:
        AuditError: if the database cannot be reached.
        psycopg.Error: if it cannot be read.
    """
    left = task.limit
    with connected(task.dsn) as connection:
        join(connection, task.snapshot)
        for part in task.parts:
            counts, findings = audit_part(connection, part, left)
            left -= len(findings)
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB_IN_KIB
            output.write(msgspec.json.encode(Done(counts=counts, findings=findings, peak_mib=used)) + b"\n")
            output.flush()


def audit_part(connection: Connection, part: Part, limit: int) -> tuple[Counts, list[Finding]]:
    """Examine the payments of one part.

    Args:
        connection: in a transaction with the snapshot that is to be read.
        part: which payments.
        limit: how many findings to keep; all are counted.
    """
    counts, kept, rules = Counts(), list[Finding](), Counter[str]()
    for past in pasts(connection, part):
        replayed, found = examine(past)
        counts.payments += past.payment is not None
        counts.attempts += len(past.attempts)
        counts.events += len(past.events)
        counts.reconstructed += sum(event.is_reconstructed for event in past.events)
        counts.clock_back += replayed.clock_back
        for each in found:
            rules[each.rule] += 1
            if len(kept) < limit:
                kept.append(each)
    if part.end is None:
        for table, count in without_payment(connection):
            each = finding(
                _OF_TABLES[table],
                _NO_PAYMENT,
                table,
                "the id of a payment",
                f"NULL in {counted(count, 'row')}",
            )
            rules[each.rule] += 1
            kept.append(each)
    counts.rules = dict(rules)
    return counts, kept


def main() -> None:
    """Do the task on standard input."""
    try:
        work(msgspec.json.decode(sys.stdin.buffer.read(), type=Task), sys.stdout.buffer)
    except Exception as error:  # noqa: BLE001 - the parent tells it
        sys.stderr.write(f"{str(error).strip()}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
