"""What an OpenAPI 3 document says of a service's operations, its references followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from payments_verify.binding.file import BindingFileError

_METHODS = ("get", "put", "post", "patch", "delete")
_DEEPEST = 4
_MOST_HOPS = 50
"""References that lead to references."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Property:
    """A member of a body, with those that lie within it: its path has dots between names."""

    path: str
    schema: Schema
    required: bool

    @property
    def name(self) -> str:
        """The last name of its path, in lower case."""
        return self.path.rpartition(".")[2].lower()


@dataclass(frozen=True)
class Operation:
    """An operation of a service.

    Attributes:
        document: the whole document.
        method: the method, in capitals.
        path: the path, with its parameters in braces.
        said: what the document says of it.
        shared: what the path's item says of all of its operations.
    """

    document: Mapping[str, Any]
    method: str
    path: str
    said: Mapping[str, Any]
    shared: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What it is called, in lower case: the end of its path, and its id."""
        return f"{self.path.rstrip('/').rpartition('/')[2]} {self.said.get('operationId', '')}".lower()

    @property
    def is_deprecated(self) -> bool:
        """Whether the document says that it is not to be used any more."""
        return bool(self.said.get("deprecated"))

    @cached_property
    def parameters(self) -> Sequence[Schema]:
        """Its parameters, and those of its path."""
        named = [*self.shared.get("parameters", ()), *self.said.get("parameters", ())]
        return [follow(self.document, each) for each in named]

    @cached_property
    def body(self) -> tuple[str, Sequence[Property]]:
        """The media type of its body, and what the body has; an empty type for no body."""
        content = follow(self.document, self.said.get("requestBody", {})).get("content", {})
        for kind, media in content.items():
            return kind, properties(self.document, media.get("schema", {}))
        return "", []

    @cached_property
    def answers(self) -> Sequence[tuple[int, Schema, Sequence[Property]]]:
        """Its answers: the status, what is said of it, and what its body has."""
        found = []
        for status, said in self.said.get("responses", {}).items():
            if str(status).isdigit():
                answer = follow(self.document, said)
                medias = answer.get("content", {}).values()
                seen = [
                    each for media in medias for each in properties(self.document, media.get("schema", {}))
                ]
                found.append((int(status), answer, seen))
        return sorted(found, key=lambda each: each[0])


def read_document(file: Path) -> Mapping[str, Any]:
    """Read an OpenAPI 3 document.

    Raises:
        BindingFileError: it cannot be read, or is none.
    """
    try:
        document = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise BindingFileError(f"{file}: cannot be read as JSON: {error}") from None
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise BindingFileError(f"{file}: no OpenAPI 3 document: its member openapi is no 3.x")
    return document


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """The operations of a document."""
    for path, item in document.get("paths", {}).items():
        shared = follow(document, item)
        for method in _METHODS:
            if method in shared:
                yield Operation(document, method.upper(), path, shared[method], shared)


def follow(document: Mapping[str, Any], said: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON value
    """What a reference within the document leads to; nothing if it leads nowhere, or round in a circle."""
    for _ in range(_MOST_HOPS):
        if not isinstance(said, Mapping) or not isinstance(said.get("$ref"), str):
            return said if isinstance(said, Mapping) else {}
        where, _, pointer = said["$ref"].partition("#")
        found: Any = {} if where else document
        for name in unquote(pointer).split("/")[1:]:
            found = _member(found, name.replace("~1", "/").replace("~0", "~"))
        said = found
    return {}


def _member(said: Any, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """What a step of a JSON pointer leads to: a member by its name, an element by its place."""
    if isinstance(said, Mapping):
        return said.get(name, {})
    is_place = isinstance(said, Sequence) and not isinstance(said, str) and name.isdecimal()
    return said[int(name)] if is_place and int(name) < len(said) else {}


def properties(document: Mapping[str, Any], schema: Any, path: str = "") -> list[Property]:  # noqa: ANN401
    """The members of an object, whatever it is put together from, and what lies within them."""
    found: dict[str, Property] = {}
    for part, is_sure in _parts(document, schema):
        required = part.get("required", ()) if is_sure else ()
        for name, said in part.get("properties", {}).items():
            inner = f"{path}.{name}" if path else name
            merged = {key: value for each, _ in _parts(document, said) for key, value in each.items()}
            known = found.get(inner)
            merged = {**(known.schema if known else {}), **merged}
            is_required = name in required or (known is not None and known.required)
            found[inner] = Property(inner, merged, is_required)
            if inner.count(".") < _DEEPEST:
                found |= {each.path: each for each in properties(document, said, inner)}
    return list(found.values())


def _parts(
    document: Mapping[str, Any],
    schema: Any,  # noqa: ANN401
    within: tuple[Schema, ...] = (),
) -> Iterator[tuple[Schema, bool]]:
    """What a schema is put together from, and whether each is sure to hold: not one of several ways."""
    followed = follow(document, schema)
    if any(each is followed for each in within):
        return  # it is put together from itself
    yield followed, True
    for way in ("allOf", "oneOf", "anyOf"):
        ways = [each for each in followed.get(way, ()) if each != {"type": "null"}]
        for each in ways:
            alone = way == "allOf" or len(ways) == 1
            yield from (
                (part, alone and is_sure) for part, is_sure in _parts(document, each, (*within, followed))
            )
