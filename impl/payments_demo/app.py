"""The applications that are tried out; what each worker process builds for itself."""

from functools import partial

from starlette.types import ASGIApp

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.wiring import app_from_environment, postgres_app
from payments_demo import clock
from payments_demo.routes import clock_route, page_routes


def with_page() -> ASGIApp:
    """The service of the environment, and the page to race captures on."""
    return app_from_environment(partial(postgres_app, routes=page_routes()))


def with_page_and_clock() -> ASGIApp:
    """The same for a demonstration, whose clock the page can move; for this machine alone.

    Raises:
        ValueError: if the database is not one that was started for a demonstration.
    """
    return app_from_environment(demonstration)


def demonstration(settings: Settings) -> ASGIApp:
    """A demonstration over the database of the settings.

    Raises:
        ValueError: if that is not one that was started for it.
    """
    dsn = settings.database_url
    if dsn is None or not clock.is_installed(dsn):
        raise ValueError(
            "a demonstration is for a database that was started for it: payments-core serve --demo"
        )
    routes = [*page_routes(has_clock=True), clock_route(partial(clock.advance, dsn))]
    return postgres_app(settings, routes, is_for_this_machine=True)
