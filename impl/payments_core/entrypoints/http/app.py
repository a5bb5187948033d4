"""The Starlette application: routes, health, and every error as a problem document."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import quote

import psycopg
import structlog
from psycopg_pool import PoolClosed, PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from payments_core.application.ports import PaymentStore
from payments_core.domain.errors import (
    IdempotencyKeyReused,
    PaymentIdConflict,
    PaymentNotFound,
    TooManyRefusals,
    TransitionRefused,
)
from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.entrypoints.http import documents, pages, problems
from payments_core.entrypoints.http.payments import PaymentRoutes
from payments_core.entrypoints.http.problems import ProblemRaised, ProblemType
from payments_core.entrypoints.http.resources import read, resource
from payments_core.infrastructure.postgres.pool import PoolExhausted

Lifespan = Callable[[], AbstractAsyncContextManager[None]]

_log = structlog.get_logger()


class Application(Starlette):
    """Starlette without its outermost middleware, for errors without a handler: here every error has one."""

    def build_middleware_stack(self) -> ASGIApp:
        """Leave the outermost middleware out."""
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Its path is taken as it was sent.

        Each resource has one spelling: ``%2F`` is no ``/``, or a proxy that looks at paths would see another.
        """
        if scope["type"] == "http":
            sent = scope.get("raw_path")
            scope["path"] = quote(scope["path"]) if sent is None else sent.decode("latin-1")
        await super().__call__(scope, receive, send)


def create_app(
    store: PaymentStore,
    lifespan: Lifespan | None = None,
    draining: Callable[[], bool] = lambda: False,
    stopped: Callable[[], Sequence[str]] = tuple,
    routes: Sequence[BaseRoute] = (),
    *,
    max_stored_refusals: int = MAX_STORED_REFUSALS,
) -> Starlette:
    """The application over ``store``.

    Args:
        store: where payments are kept.
        lifespan: entered before the first request is served.
        draining: whether the process is about to end, and wants no new requests.
        stopped: what the process did beside its requests, and does not any more.
        routes: more routes; they come before health and pages.
        max_stored_refusals: how many refused captures of one payment are stored.
    """

    async def healthz(_request: Request) -> Response:
        return read(documents.Alive())

    async def readyz(_request: Request) -> Response:
        if draining():
            return _not_now("this process is about to end; send requests to another")
        if has_stopped := stopped():
            return _not_now(f"what runs beside requests has stopped ({', '.join(has_stopped)}): restart it")
        if await store.ready():
            return read(documents.Ready())
        return _not_now("the database lacks migrations: payments-core migrate")

    @asynccontextmanager
    async def entered(_app: Starlette) -> AsyncIterator[None]:
        if lifespan is None:
            yield
        else:
            async with lifespan():
                yield

    app = Application(
        routes=[
            *PaymentRoutes.over(store, max_stored_refusals).routes(),
            *routes,
            resource("/healthz", GET=healthz),
            resource("/readyz", GET=readyz),
            *pages.routes(),
        ],
        exception_handlers=_HANDLERS,
        lifespan=entered,
    )
    # A resource has one URL; a redirect to it would be to whatever host the request named.
    app.router.redirect_slashes = False
    return app


# Every handler is a coroutine function: Starlette runs others in a thread, for which a refusal would wait.


def _domain_problem(problem: ProblemType, detail: str) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handler(_request: Request, _error: Exception) -> Response:
        return problems.response(problem, detail)

    return handler


async def _raised(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemRaised)
    return problems.response(error.problem, error.detail)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TransitionRefused)
    problem = problems.OF_REFUSAL[error.refusal]
    return problems.response(problem, f"the payment's state does not allow this: {problem.title.lower()}")


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = problems.OF_ROUTING[error.status_code]
    return problems.response(problem, error.detail, dict(error.headers or {}))


async def _unavailable(_request: Request, error: Exception) -> Response:
    _log.warning("database unavailable", error=type(error).__name__)
    return _not_now("the database cannot be reached; send the same request again")


async def _exhausted(_request: Request, error: Exception) -> Response:
    _log.warning("database busy", error=type(error).__name__)
    return _not_now(
        "all connections to the database were in use; nothing was done: send the same request again"
    )


async def _too_slow(_request: Request, error: Exception) -> Response:
    _log.warning("statement too slow", error=type(error).__name__)
    return _not_now("the database took too long and stored nothing; send the same request again")


async def _unfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, psycopg.Error)
    if error.sqlstate is None:  # not the database's word: the driver was used wrongly
        return await _failed(request, error)
    _log.error("database unfit", exc_info=error)
    return _not_now(
        "the database lacks rights, tables or functions that this needs, or cannot run them; nothing was "
        "stored: send the same request again once that is mended"
    )


async def _busy(_request: Request, error: Exception) -> Response:
    _log.warning("payment busy", error=type(error).__name__)
    detail = (
        "others hold this payment, or met this request there; nothing was done: send the same request again"
    )
    return _not_now(detail, problems.PAYMENT_BUSY)


def _not_now(detail: str, problem: ProblemType = problems.UNAVAILABLE) -> Response:
    return problems.response(problem, detail, problems.RETRY_AFTER)


async def _failed(_request: Request, error: Exception) -> Response:
    _log.error("request failed", exc_info=error)
    return problems.response(problems.INTERNAL_ERROR, "the request failed; it is safe to send it again")


_HANDLERS: dict[Any, Any] = {
    ProblemRaised: _raised,
    PaymentNotFound: _domain_problem(problems.PAYMENT_NOT_FOUND, "no payment has this id"),
    PaymentIdConflict: _domain_problem(
        problems.PAYMENT_ID_CONFLICT, "a payment of another amount has this id"
    ),
    IdempotencyKeyReused: _domain_problem(
        problems.KEY_REUSED, "this key was used for a capture of another amount; use a new key"
    ),
    TooManyRefusals: _domain_problem(
        problems.TOO_MANY_REFUSALS,
        "this capture is refused, and no more refusals of the payment are stored; nothing was stored",
    ),
    TransitionRefused: _refused,
    HTTPException: _http_error,
    psycopg.errors.LockNotAvailable: _busy,
    psycopg.errors.SerializationFailure: _busy,
    psycopg.errors.DeadlockDetected: _busy,
    psycopg.errors.QueryCanceled: _too_slow,
    # Beside the class of errors that psycopg calls operational: the session was ended for taking too long,
    # leads to a server that has become a standby, or was lent by a pooler and is another one by now.
    psycopg.errors.IdleInTransactionSessionTimeout: _unavailable,
    psycopg.errors.TransactionTimeout: _unavailable,
    psycopg.errors.ReadOnlySqlTransaction: _unavailable,
    psycopg.errors.InvalidSqlStatementName: _unavailable,
    psycopg.OperationalError: _unavailable,
    psycopg.errors.UndefinedFile: _unfit,  # a function's library cannot be loaded
    psycopg.InternalError: _unfit,
    psycopg.ProgrammingError: _unfit,
    PoolExhausted: _exhausted,
    PoolTimeout: _unavailable,
    PoolClosed: _unavailable,
    Exception: _failed,
}
