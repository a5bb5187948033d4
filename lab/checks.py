"""The lab's part of the main job: what it adds to the checks of `payments-verify verify` in a checkout."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lab.proof.check import check_proof
from lab.static_checks.shipped import shipped_static_check
from payments_verify.suite import Planned


def checks(bin_dir: Path | None) -> Iterator[Planned]:
    """The proof of the protocol, and what can be seen of the service without sending it a request.

    Args:
        bin_dir: the PostgreSQL to run; the embedded one, or the newest found, if not given.
    """
    yield Planned("protocol, any number of clients (Z3)", check_proof, is_proof=True, of_the_model=True)
    yield Planned("schema and statements", partial(shipped_static_check, bin_dir), is_proof=True)
