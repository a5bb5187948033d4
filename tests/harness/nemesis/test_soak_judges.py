"""A soak goes on if the process that judges its windows is killed."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from payments_verify.nemesis.judge import Judgement
from payments_verify.nemesis.soak import find_violated


def _judged(history: Path) -> Judgement:
    if history.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return Judgement(verdict="violated" if history.name == "wrong" else "holds")


@pytest.mark.parametrize(("name", "violated"), [("right", False), ("wrong", True), ("deadly", False)])
def test_only_a_judgement_ends_a_soak(name: str, violated: bool) -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        judging = executor.submit(_judged, Path(name))
        judging.exception()  # waits
        assert find_violated(judging) is violated
