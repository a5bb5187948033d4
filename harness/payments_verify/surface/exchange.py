"""Requests as bytes on a connection of their own, and what has to be answered: a step after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

from payments_verify.binding.http import HttpAnswer
from payments_verify.surface.answers import complaints
from payments_verify.surface.witness import Witness

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Server:
    """Where a process listens.

    Attributes:
        host: its address.
        port: its port.
        authorization: the value of the field of this name in requests to it.
    """

    host: str
    port: int
    authorization: str


@dataclass(frozen=True)
class Answer:
    """What is to be answered next.

    Attributes:
        status: the status.
        problem: the problem type; empty if it is none.
        to: method and path of the request, if it comes to its route, where it is counted.
        has_body: whether one follows the head.
    """

    status: int
    problem: str = ""
    to: tuple[str, str] | None = None
    has_body: bool = True


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Ended:
    """The server has ended the connection.

    Attributes:
        most: how many bytes it may have sent before, at most.
    """

    most: int = 0


Step: TypeAlias = bytes | Answer | Pause | Ended
Pass: TypeAlias = Callable[[float], Awaitable[object]]
"""Lets so many seconds pass."""


@dataclass(frozen=True)
class Exchange:
    """What is sent and answered on one connection, in this order.

    Attributes:
        breaks: the invariants that another answer breaks.
        what: it is, for people.
        steps: bytes to be sent, answers and the end to be waited for, and pauses.
    """

    breaks: str
    what: str
    steps: Sequence[Step]


async def first_wrong(
    witness: Witness,
    server: Server,
    asked: Iterable[Exchange],
    meant: Mapping[str, str],
    pause: Pass = asyncio.sleep,
) -> str | None:
    """What a process answers otherwise than the first exchange of these that it does; ``None`` if none is.

    Args:
        witness: of the process; it counts what was answered.
        server: where the process listens.
        asked: what is sent, and what has to be answered.
        meant: what placeholders stand for.
        pause: how time passes, by the clock of the running loop.
    """
    for each in asked:
        wrong = await _wrong(witness, server, each, meant, pause)
        if wrong is not None:
            return f"{each.breaks}: {each.what}: {wrong}"
    return None


async def _wrong(
    witness: Witness, server: Server, exchange: Exchange, meant: Mapping[str, str], pause: Pass
) -> str | None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    began = perf_counter()
    try:
        for step in exchange.steps:
            if isinstance(step, Pause):
                await pause(step.seconds)
                continue
            async with asyncio.timeout(_PATIENCE_S):
                if isinstance(step, Answer):
                    wrong = await wrong_answer(witness, reader, step)
                    if wrong is not None:
                        return wrong
                elif isinstance(step, Ended):
                    sent = await until_ended(reader)
                    if sent > step.most:
                        return f"{sent} bytes came before the end, and not at most {step.most}"
                else:
                    writer.write(filled(step, meant))
                    await writer.drain()
    except TimeoutError:
        what = "the connection is not ended" if isinstance(step, Ended) else "no whole answer"
        return f"{what} within {_PATIENCE_S:g} s"
    except (OSError, EOFError) as error:
        return f"the connection ended: {type(error).__name__}"
    finally:
        witness.seconds += perf_counter() - began
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return None


async def until_ended(reader: asyncio.StreamReader) -> int:
    """Read until the server ends the connection; how many bytes came."""
    count = 0
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            count += len(data)
    return count


def filled(sent: bytes, meant: Mapping[str, str]) -> bytes:
    """What is sent, with what its placeholders stand for."""
    for name, value in meant.items():
        sent = sent.replace(name.encode(), value.encode())
    return sent


async def wrong_answer(witness: Witness, reader: asyncio.StreamReader, expected: Answer) -> str | None:
    """Read the next answer, and count it; how it differs from what is expected, ``None`` if it does not."""
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    status = int(line.split(" ", 2)[1])
    fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    length = fields.get("content-length")
    has_body = length and (expected.has_body or status >= 300)
    body = await reader.readexactly(int(length or 0)) if has_body else b""
    problem = str(json.loads(body).get("type", "")).removeprefix("/problems/") if status >= 400 else ""
    if expected.to is not None:
        witness.count(*expected.to, status)
    if (status, problem) != (expected.status, expected.problem):
        wanted = f"{expected.status} {expected.problem}".strip()
        return f"expected {wanted}, got {status} {body[:300].decode(errors='replace')}"
    method, path = expected.to or ("GET", "")
    return "; ".join(complaints(method, path, HttpAnswer(status, fields, body))) or None if has_body else None
