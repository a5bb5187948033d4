"""This repository's own service: its HTTP is bound by ``default_binding.toml``, as another's by its file."""

from __future__ import annotations

from collections.abc import Mapping

from payments_model import Outcome
from payments_verify.binding.client import BoundClient
from payments_verify.binding.file import default_binding
from payments_verify.binding.http import Http
from payments_verify.payments.observed.observations import OUTCOME_NAMED

_PROBLEMS = "/problems/"


def own_client(http: Http) -> BoundClient:
    """A client of this repository's service."""
    return BoundClient(http, default_binding())


def outcomes_by_name() -> Mapping[str, Outcome]:
    """The outcomes by the names that the service's HTTP has for them: of a problem, the end of its type."""
    types = {str(answer.where["type"]): answer.outcomes[0] for answer in default_binding().answers}
    return {"captured": Outcome.CAPTURED} | {
        type_.removeprefix(_PROBLEMS): OUTCOME_NAMED[outcome] for type_, outcome in types.items()
    }
