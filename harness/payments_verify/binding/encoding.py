"""How a request's body goes over the wire: as JSON, or as a form; and what a hook adds to its headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from payments_verify.binding.hooks import signer
from payments_verify.binding.sections import Service

_TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class EncodingHttp:
    """Carries requests to a service whose bodies are not plain JSON, or that wants them signed.

    Attributes:
        http: sends them.
        service: says how bodies are written.
    """

    http: httpx.AsyncClient
    service: Service

    async def request(
        self, method: str, path: str, /, *, headers: Mapping[str, str], json: Mapping[str, Any] | None
    ) -> httpx.Response:
        """Send a request; ``httpx.TransportError`` if there is no whole answer."""
        kind, content = encode(self.service.body, json)
        fields = {**kind, **headers}
        if self.service.sign is not None:
            fields |= signer(self.service.sign)(method, path, fields, content)
        return await self.http.request(method, path, headers=fields, content=content)


def encode(kind: str, body: Mapping[str, Any] | None) -> tuple[dict[str, str], bytes]:
    """The header that names a body's type, and the body's bytes.

    Args:
        kind: "json" or "form", see ``service.body``.
        body: as it stands in a binding, filled; ``None`` for none.
    """
    if body is None:
        return {}, b""
    encoded = urlencode(list(_fields(body))) if kind == "form" else json.dumps(body, separators=(",", ":"))
    return {"Content-Type": _TYPES[kind]}, encoded.encode()


def _fields(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """The fields of a form: ``outer[inner]`` for what lies within others, ``name[0]`` for a list."""
    match value:
        case Mapping():
            for inner, each in value.items():
                yield from _fields(each, f"{name}[{inner}]" if name else inner)
        case list():
            for number, each in enumerate(value):
                yield from _fields(each, f"{name}[{number}]")
        case None:
            yield name, ""
        case bool():
            yield name, "true" if value else "false"
        case _:
            yield name, str(value)
