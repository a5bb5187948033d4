"""The outcomes of a capture in the order in which they apply, from the model's own list of conditions."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from lab.pages.blocks import table
from payments_model import RECORDED, Outcome
from payments_model.capture import CAPTURE_PRECEDENCE

_REPLAY = ("The key is known, and the request is the same.", "the stored answer again", "already is")


def precedence_table(names: Mapping[Outcome, str], statuses: Mapping[str, int]) -> str:
    """The table in Markdown.

    Args:
        names: the service's names of the outcomes.
        statuses: the HTTP status that each name is answered with.
    """
    rows = []
    for outcome, condition in CAPTURE_PRECEDENCE:
        name = names[outcome]
        stored = "yes" if outcome in RECORDED else "no"
        rows.append((inspect.getdoc(condition) or "", f"`{name}`", str(statuses[name]), stored))
        if outcome is Outcome.NOT_FOUND:
            said, answer, already = _REPLAY
            rows.append((said, answer, "as stored", already))
    return table(
        ("", "condition", "outcome", "HTTP", "stored under the key"),
        [(str(number), *row) for number, row in enumerate(rows, 1)],
    )
