"""Requests as bytes on a connection of their own, and what has to be answered: a step after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias, TypeVar

import msgspec

from payments_verify.binding.http import HttpAnswer
from payments_verify.patience import patient
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
        closes: whether it says that the connection ends behind it; ``False`` for no matter.
        shows: header fields beside those that every such answer has, by name in lower case.
    """

    status: int
    problem: str = ""
    to: tuple[str, str] | None = None
    has_body: bool = True
    closes: bool = False
    shows: tuple[tuple[str, str], ...] = ()


ALIVE = Answer(200, shows=(("cache-control", "no-store"),))
"""What is answered to who asks after a process's health, which is counted nowhere."""


@dataclass(frozen=True)
class Pause:
    """Nothing is sent for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Ended:
    """The server has ended the connection.

    Attributes:
        most: how many bytes it may have sent before, at most.
        problem: what is counted as refused, and has no answer; empty if nothing is.
    """

    most: int = 0
    problem: str = ""


Step: TypeAlias = bytes | Answer | Pause | Ended
_T = TypeVar("_T")


class Time:
    """How time passes for clients."""

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass."""
        await asyncio.sleep(seconds)

    async def within(self, seconds: float, awaited: Awaitable[_T]) -> _T:
        """Wait for something, for at most so many seconds of a clock on the wall.

        Raises:
            TimeoutError: it has not come.
        """
        async with asyncio.timeout(seconds):
            return await awaited


_AS_EVER = Time()


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
    time: Time = _AS_EVER,
) -> str | None:
    """What a process answers otherwise than the first exchange of these that it does; ``None`` if none is.

    Args:
        witness: of the process; it counts what was answered.
        server: where the process listens.
        asked: what is sent, and what has to be answered.
        meant: what placeholders stand for.
        time: how it passes.
    """
    for each in asked:
        wrong = await _wrong(witness, server, each, meant, time)
        if wrong is not None:
            return f"{each.breaks}: {each.what}: {wrong}"
    return None


async def _wrong(
    witness: Witness, server: Server, exchange: Exchange, meant: Mapping[str, str], time: Time
) -> str | None:
    connection = await asyncio.open_connection(server.host, server.port)
    began, writer, answers = perf_counter(), connection[1], 0
    try:
        for step in exchange.steps:
            answers += isinstance(step, Answer)
            if isinstance(step, Pause):
                await time.pause(step.seconds)
                continue
            sent = filled(step, meant) if isinstance(step, bytes) else step
            wrong = await time.within(patient(_PATIENCE_S), _taken(witness, connection, sent))
            if wrong is not None:
                return f"answer {answers}: {wrong}" if isinstance(step, Answer) and answers > 1 else wrong
    except TimeoutError:
        what = "the connection is not ended" if isinstance(step, Ended) else "no whole answer"
        return f"{what} within {_PATIENCE_S:g} s"
    except (OSError, EOFError) as error:
        return f"the connection ended: {type(error).__name__}"
    except (ValueError, LookupError, msgspec.MsgspecError) as error:
        return f"what came is no answer: {error}"
    finally:
        witness.seconds += perf_counter() - began
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    return None


async def _taken(
    witness: Witness,
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    step: bytes | Answer | Ended,
) -> str | None:
    """Take a step that needs no time; what is wrong with what came, if anything is."""
    reader, writer = connection
    if isinstance(step, Answer):
        return await wrong_answer(witness, reader, step)
    if isinstance(step, Ended):
        sent = await until_ended(reader)
        return f"{sent} bytes came before the end, and not at most {step.most}" if sent > step.most else None
    writer.write(step)
    await writer.drain()
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
    """Read the next answer, and count it; how it differs from what is expected, ``None`` if it does not.

    Raises:
        ValueError, LookupError: what came is no answer.
    """
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    status = int(line.removeprefix("HTTP/1.1 ").split(" ")[0])
    fields = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    length = fields.get("content-length")
    has_body = length and (expected.has_body or status != expected.status)
    body = await reader.readexactly(int(length or 0)) if has_body else b""
    if expected.to is not None:
        witness.count(*expected.to, status)
    problem = _problem_in(body) if status >= 400 and has_body else expected.problem
    if (status, problem) != (expected.status, expected.problem):
        wanted = f"{expected.status} {expected.problem}".strip()
        return f"expected {wanted}, got {status} {body[:300].decode(errors='replace')}"
    if expected.closes and "close" not in fields.get("connection", ""):
        return f"{status}, and no Connection: close, where the connection is to end"
    if not has_body:
        return None
    method, path = expected.to or ("", "")
    return "; ".join(complaints(method, path, HttpAnswer(status, fields, body), dict(expected.shows))) or None


def _problem_in(body: bytes) -> str:
    """The name of a problem type; empty if this is no problem document."""
    with suppress(ValueError, AttributeError):
        return str(json.loads(body).get("type", "")).removeprefix("/problems/")
    return ""
