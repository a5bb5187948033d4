"""Which operations of an OpenAPI document are the commands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from payments_verify.binding.guesses import COMMANDS, UPDATES
from payments_verify.binding.openapi import Operation


def commands_of(known: Sequence[Operation]) -> dict[str, Operation]:
    """The operation of each command.

    What captures says by its path which is the payment's: of several, that for which most others are found.
    """
    acting = [each for each in known if each.method in ("POST", "PUT", "PATCH") and _resource(each)]
    found = [
        _around(capture, acting, known) for capture in acting if re.search(COMMANDS["capture"], capture.words)
    ]
    return max(found, key=_likeness, default={})


def payment_parameter(found: Mapping[str, Operation]) -> str:
    """What paths call the payment's id; empty if nothing captures."""
    return _resource(found["capture"]).rpartition("{")[2].rstrip("}") if "capture" in found else ""


def _around(
    capture: Operation, acting: Sequence[Operation], known: Sequence[Operation]
) -> dict[str, Operation]:
    """The commands on the payment of a capture."""
    place = _resource(capture)
    found = {"capture": capture}
    for f, words in COMMANDS.items():
        free = [each for each in acting if _resource(each) == place and each not in found.values()]
        ours = [each for each in free if re.search(words, each.words)]
        if f != "capture" and ours:
            found[f] = min(ours, key=lambda each: each.is_deprecated)
    for each in known:
        if each.method == "GET" and each.path.rstrip("/") == place:
            found["read"] = each
    for way in (("PUT", place), ("POST", place.rpartition("/")[0])):
        there = [each for each in known if (each.method, each.path.rstrip("/")) == way]
        creating = [each for each in there if not re.search(UPDATES, each.words)]
        if creating:
            found.setdefault("create", creating[0])
    return found


def _resource(operation: Operation) -> str:
    """The path of what an operation acts on: up to the last parameter, if an action follows it."""
    upto, brace, action = operation.path.rstrip("/").rpartition("}")
    return f"{upto}{brace}" if action else ""


def _likeness(found: Mapping[str, Operation]) -> tuple[bool, int, int]:
    capture = found["capture"]
    return not capture.is_deprecated, len(found), -capture.path.count("{")
