"""What a binding leaves open until it is used: the environment's variables, and where the database is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from pgweave.database_url import DatabaseUrl

DATABASE_PARTS = frozenset({"url", "user", "password", "host", "port", "database"})
"""The placeholders of a template in ``service.environment``."""

_SHOWN_OF_SERVICE = frozenset({"headers", "environment"})
_SHOWN_OF_REQUEST = frozenset({"request", "headers", "body"})
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PLACEHOLDER = re.compile(r"(\$?)\{(\w+)\}")


def unset_variables(value: Any, key: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any TOML value
    """The keys of a file whose text names a variable that the environment lacks, and its name."""
    for where, text in texts(value, key):
        yield from ((where, name) for name in _VARIABLE.findall(text) if name not in os.environ)


def with_variables(value: Any) -> Any:  # noqa: ANN401 - any TOML value
    """A value with ``${NAME}`` replaced by the environment's variables, in every text of it.

    Raises:
        KeyError: the environment lacks one.
    """
    match value:
        case str():
            return _VARIABLE.sub(lambda found: os.environ[found[1]], value)
        case dict():
            return {name: with_variables(each) for name, each in value.items()}
        case list():
            return [with_variables(each) for each in value]
    return value


def with_known_variables(content: dict[str, Any]) -> dict[str, Any]:
    """A file with its variables' values, but for those in requests, which may be secrets and are shown."""
    known: dict[str, Any] = {}
    for name, section in content.items():
        if name == "service":
            known[name] = _filled_but(_SHOWN_OF_SERVICE, section)
        elif name == "sweep":
            known[name] = _filled_but(_SHOWN_OF_REQUEST, section)
        elif name == "commands" and isinstance(section, dict):
            known[name] = {f: _filled_but(_SHOWN_OF_REQUEST, each) for f, each in section.items()}
        elif name == "setup" and isinstance(section, list):
            known[name] = [_filled_but(_SHOWN_OF_REQUEST, each) for each in section]
        else:
            known[name] = with_variables(section)
    return known


def service_environment(templates: Mapping[str, str], conninfo: str | DatabaseUrl) -> dict[str, str]:
    """The variables by which a service is told where its database is.

    Args:
        templates: the binding's ``service.environment``; a ``DATABASE_URL`` is added if it has none.
        conninfo: where the database is.
    """
    url = conninfo if isinstance(conninfo, DatabaseUrl) else DatabaseUrl.of(conninfo)
    parts = {name: getattr(url, name) for name in DATABASE_PARTS - {"url"}}
    encoded = {name: quote(part, safe="") for name, part in parts.items()}

    def filled(template: str) -> str:
        # In a URL a password's signs are escaped; in a variable of its own they are not.
        values = {"url": str(url), **(encoded if "://" in template else parts)}
        return _PLACEHOLDER.sub(lambda found: (os.environ if found[1] else values)[found[2]], template)

    return {name: filled(each) for name, each in {"DATABASE_URL": "{url}", **templates}.items()}


def _filled_but(left: frozenset[str], section: Any) -> Any:  # noqa: ANN401 - any TOML value
    if not isinstance(section, dict):
        return section
    return {name: each if name in left else with_variables(each) for name, each in section.items()}


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any TOML value
    """The texts in a value, each with its key."""
    match value:
        case str():
            yield key, value
        case dict():
            for name, each in value.items():
                yield from texts(each, f"{key}.{name}" if key else name)
        case list():
            for number, each in enumerate(value):
                yield from texts(each, f"{key}[{number}]")
