"""Requests as bytes on a connection of their own: what a client's library never sends, or always hides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from payments_verify.surface.connections import in_order
from payments_verify.surface.exchange import Answer, Ended, Exchange, Server, first_wrong
from payments_verify.surface.first_lines import first_lines
from payments_verify.surface.framing import framed
from payments_verify.surface.raw import ONE, found, head
from payments_verify.surface.samples import Metrics, metrics_of, rejected
from payments_verify.surface.witness import Witness

_MOST_FIELDS, _HEAD_LIMIT, _SLACK = 100, 16 * 1024, 4 * 1024
_FIELD_OVERHEAD = 4
_COUNTED = ("malformed_http", "head_too_large", "unsupported_transfer_coding")


async def broken_on_the_wire(witness: Witness, server: Server, ids: Mapping[str, str]) -> str | None:
    """What a process answers otherwise than it has to; ``None`` if nothing. None of it changes anything.

    Args:
        witness: of the process; it counts what was answered.
        server: where the process listens.
        ids: the payments that stand for the placeholders of paths.
    """
    host = f"{server.host}:{server.port}"
    meant = {"{host}": host, "{authorization}": server.authorization, **ids}
    asked = list(exchanges(len(host + server.authorization)))
    before = await metrics_of(witness.http)
    wrong = await first_wrong(witness, server, asked, meant)
    return wrong or _miscounted(asked, before, await metrics_of(witness.http))


def _miscounted(asked: Iterable[Exchange], before: Metrics, after: Metrics) -> str | None:
    """Whether what was refused for its form is counted so, wherever it was refused."""
    refused: Counter[str] = Counter()
    for each in asked:
        told = (step.problem for step in each.steps if isinstance(step, Answer))
        refused.update(name for name in told if name in _COUNTED)
        refused.update(step.problem for step in each.steps if isinstance(step, Ended) and step.problem)
    was, now = rejected(before), rejected(after)
    for problem in (*_COUNTED, "body_too_large"):
        if (counted := now.get(problem, 0) - was.get(problem, 0)) != refused[problem]:
            return f"I12: {refused[problem]} requests were refused as {problem}, and {counted:g} are counted"
    return None


def exchanges(known: int) -> Iterator[Exchange]:
    """All of them.

    Args:
        known: the bytes of the host and the authorization.
    """
    yield from in_order()
    yield from framed()
    yield from first_lines()
    yield from _at_the_limits(known)


def _at_the_limits(known: int) -> Iterator[Exchange]:
    too_large = Answer(431, "head_too_large", closes=True)
    others = _MOST_FIELDS - 2  # beside the host and the authorization
    for fields, end in ((others, (found("GET"),)), (others + 1, (too_large, Ended()))):
        sent = head("GET", ONE, b"".join(b"x-%d: 1\r\n" % number for number in range(fields)))
        yield Exchange("I9, I11", f"{fields + 2} fields", (sent, *end))
    left = _HEAD_LIMIT - known - len("Host" + "Authorization") - 2 * _FIELD_OVERHEAD
    for size in (left, left + 1):
        path = "/payments/".ljust(size, "x")
        known_size = Answer(400, "invalid_payment_id", ("GET", path))
        answer = known_size if size == left else too_large
        yield Exchange("I9, I11", f"a target of {size} bytes", (head("GET", path), answer))
    for what, begun in (("target", b"GET /"), ("field", b"GET / HTTP/1.1\r\nX-Long: ")):
        sent = begun.ljust(_HEAD_LIMIT + _SLACK + 1, b"x")
        yield Exchange("I9, I11", f"a {what} without an end", (sent, too_large, Ended()))
