"""Who may use which route of the service: the one place that says so."""

from collections.abc import Collection, Mapping

from payments_core.entrypoints.tokens import TokenScope

OPEN = frozenset({"/healthz", "/readyz", "/", "/docs", "/openapi.json", "/problems/{name}", "/static/{name}"})
"""Health, and pages that are the same for everybody."""

_READ, _WRITE = {"GET": TokenScope.READ}, {"POST": TokenScope.WRITE}
NEEDED: Mapping[str, Mapping[str, TokenScope]] = {
    "/payments": _READ | _WRITE,
    "/payments/{payment_id}": {**_READ, "PUT": TokenScope.WRITE},
    "/payments/{payment_id}/authorize": _WRITE,
    "/payments/{payment_id}/captures": _READ | _WRITE,
    "/payments/{payment_id}/fail": _WRITE,
    "/metrics": {"GET": TokenScope.METRICS},  # tells of the business
}
"""The scope that each method of the other routes needs. ``HEAD`` is as ``GET``, ``OPTIONS`` any token's."""

SCOPES = "payments_core.token_scopes"
"""Where in a request's scope those of its token stand; not at all where there are no tokens."""

_PATHS = frozenset(each for each in OPEN if "{" not in each)
_FOLDERS = tuple(each.partition("{")[0] for each in OPEN if "{" in each)


def needed(path: str, methods: Collection[str]) -> Mapping[str, TokenScope]:
    """The scope that each method of a route needs.

    Raises:
        ValueError: if the route, or a method of it, is not here.
    """
    if path in OPEN and set(methods) == {"GET"}:
        return {}
    scopes = NEEDED.get(path, {})
    if set(scopes) != set(methods):
        raise ValueError(f"say in {__name__} which scope {path} needs for each of {', '.join(methods)}")
    return scopes


def is_open(path: str) -> bool:
    """Whether a path leads to health or to a page that is the same for everybody."""
    return path in _PATHS or path.startswith(_FOLDERS)
