"""The inductive invariant: what is so in every state that any number of clients can reach.

Each conjunct is a formula over all clients, payments and keys, with the words for it. `CONJUNCTS` imply what
the specification asks of a state; what it asks of a step is in `STEP_PROPERTIES`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.proof.invariant.conjunct import Conjunct, StepProperty
from lab.proof.invariant.lock import LOCK
from lab.proof.invariant.reading import READING
from lab.proof.invariant.steps import STEPS
from lab.proof.invariant.stored import STORED
from lab.proof.invariant.told import TOLD
from lab.proof.invariant.writing import WRITING

__all__ = ["CONJUNCTS", "STEP_PROPERTIES", "Conjunct", "StepProperty"]

CONJUNCTS: Sequence[Conjunct] = (*LOCK, *READING, *WRITING, *STORED, *TOLD)
"""The invariant."""

STEP_PROPERTIES = STEPS
"""What holds of every step."""
