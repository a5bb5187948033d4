"""What an operation of the interface is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from payments_core.entrypoints.http.problems import ProblemType


@dataclass(frozen=True)
class Link:
    """An operation that an answer leads to.

    Attributes:
        operation: its ``operationId``.
        parameters: where its parameters are found, as runtime expressions of OpenAPI.
        body: where the fields of its body are found.
    """

    operation: str
    parameters: Mapping[str, str]
    body: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """A success of an operation.

    Attributes:
        status: the HTTP status.
        description: when it is answered.
        document: the type of the body; ``None`` if there is none.
        example: a body.
        text: the media type of a body that is no JSON; ``None`` if it is, or if there is none.
        headers: names of headers beside those that every answer may have.
        links: where this answer leads to.
    """

    status: int
    description: str
    document: type[msgspec.Struct] | None = None
    example: msgspec.Struct | bytes | None = None
    text: str | None = None
    headers: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    Attributes:
        name: the ``operationId``.
        method: in lower case.
        path: with its parameters in braces.
        tag: the group that it is shown in.
        summary: what it does, in a line.
        answers: its successes.
        parameters: names of parameters beside those of the path.
        body: the type that parses the request's body.
        example: a body.
        problems: what can be wrong, beside what can happen to any request.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    answers: tuple[Answer, ...]
    parameters: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    example: msgspec.Struct | None = None
    problems: tuple[ProblemType, ...] = ()
