"""The whole application in this process: with its pools, its sweeper, and what watches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import postgres_app
from payments_verify.systems.application import OwnTokens
from payments_verify.systems.asgi import ApplicationClient

_LIFESPAN = "lifespan of the application"


@dataclass(frozen=True)
class WholeApplication:
    """An application that has begun.

    Attributes:
        http: carries requests to it.
        tasks: what it runs beside requests.
        tokens: a token of each scope alone, by the scope's name.
    """

    http: ApplicationClient
    tasks: Sequence[asyncio.Task[Any]]
    tokens: Mapping[str, str]


@asynccontextmanager
async def whole_application(dsn: str, **settings: Any) -> AsyncIterator[WholeApplication]:  # noqa: ANN401
    """The application as a process of its own runs it, until the block ends.

    Args:
        dsn: its database.
        settings: of the service, by name, where they are not the default; ``is_for_this_machine`` is that of
            `postgres_app`.
    """
    made = OwnTokens.make()
    is_for_this_machine = settings.pop("is_for_this_machine", False)
    own = Settings(**{"database_url": dsn, "tokens": made.accepted, "tokens_file": None, **settings})
    before = asyncio.all_tasks()
    async with _begun(app := postgres_app(own, is_for_this_machine=is_for_this_machine)):
        tasks = [
            each
            for each in asyncio.all_tasks() - before
            if each is not asyncio.current_task() and each.get_name() != _LIFESPAN
        ]
        http = ApplicationClient(app, {"Authorization": f"Bearer {made.own}"})
        yield WholeApplication(http, tasks, made.of_scope)


@asynccontextmanager
async def _begun(app: ASGIApp) -> AsyncIterator[None]:
    """Begin and end an application as a server does."""
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    from_app: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(_run(app, scope, to_app, from_app), name=_LIFESPAN)
    await to_app.put({"type": "lifespan.startup"})
    answer = await from_app.get()
    if answer["type"] != "lifespan.startup.complete":
        await task
        raise RuntimeError(f"the application did not begin: {answer.get('message')}")
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await asyncio.wait([task])


async def _run(
    app: ASGIApp, scope: dict[str, Any], to_app: asyncio.Queue[Message], from_app: asyncio.Queue[Message]
) -> None:
    try:
        await app(scope, to_app.get, from_app.put)
    finally:
        await from_app.put({"type": "lifespan.ended"})
