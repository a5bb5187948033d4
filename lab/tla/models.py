"""The models that TLC checks, and the exact counts that it must find: ``specs/tla/models.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

TABLE = "models.toml"


class ModelsError(ValueError):
    """The table of models cannot be used; the message says what is wrong with it."""


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model: a module with values for its constants, and what TLC finds.

    Attributes:
        name: its name.
        module: the module's file, without its ending.
        configuration: the file with the constants' values and the properties, from the table's folder.
        scenario: the scenario that it models; empty if it is none of them.
        violates: the property that its counterexample shows; empty if everything holds.
        states: distinct states.
        generated: states generated, the initial one included.
        depth: states on the longest of the shortest ways.
        deadlocks: whether a state without a next one is a violation.
    """

    name: str
    module: str
    configuration: str
    states: int
    generated: int
    depth: int
    scenario: str = ""
    violates: str = ""
    deadlocks: bool = True


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    model: list[Model]


def read_models(specification: Path) -> dict[str, Model]:
    """The models of a specification, by name, in the table's order.

    Raises:
        ModelsError: there is no table, or it cannot be used.
    """
    path = specification / TABLE
    if not path.is_file():
        raise ModelsError(
            f"{path} is not there; run this from the root of the repository, or name the folder"
            " with --specification"
        )
    try:
        table: _Table = msgspec.toml.decode(path.read_bytes(), type=_Table)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise ModelsError(f"{path}: {error}") from error
    models = {model.name: model for model in table.model}
    if len(models) != len(table.model):
        raise ModelsError(f"{path}: two models have one name")
    return models


def counts(model: Model) -> dict[str, Any]:
    """The counts of a model, by name."""
    return {"states": model.states, "generated": model.generated, "depth": model.depth}
