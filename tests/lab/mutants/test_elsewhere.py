"""What is packed is what is unpacked, and a trial that is waited for no longer ends the wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from lab.mutants.elsewhere import Elsewhere, packed, unpack
from lab.mutants.techniques import techniques
from lab.mutants.trial import Interrupted
from payments_verify.executors import installation
from payments_verify.sources import sources_hash


class Never(Executor):
    """Takes everything and does nothing."""

    def __init__(self) -> None:
        self.sent: list[Future[Any]] = []

    def submit(self, _what: Callable[..., Any], /, *_arguments: Any, **_named: Any) -> Future[Any]:
        self.sent.append(Future())
        return self.sent[-1]


def test_a_folder_arrives_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "__pycache__").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.py").write_bytes(b"\x00\xff")
    (tmp_path / "a" / "b" / "__pycache__" / "c.pyc").write_text("not this")
    unpack(packed(tmp_path / "a"), tmp_path / "there")
    assert [path.relative_to(tmp_path / "there") for path in (tmp_path / "there").rglob("*.*")] == [
        Path("b/c.py")
    ]
    assert (tmp_path / "there" / "b" / "c.py").read_bytes() == b"\x00\xff"
    unpack(packed(tmp_path / "none"), tmp_path / "nowhere")


def test_a_stop_ends_the_wait_and_takes_the_trial_back(tmp_path: Path) -> None:
    never, stop = Never(), threading.Event()
    stop.set()
    static = techniques(())["static"]
    with pytest.raises(Interrupted):
        Elsewhere(never, ())(static, ("static",), tmp_path, tmp_path / "left", bin_dir=None, stop=stop)
    assert never.sent[0].cancelled()


def test_a_worker_has_to_have_the_lab_as_it_is_here() -> None:
    assert sources_hash("lab") in installation("lab")
    assert sources_hash("lab") != sources_hash("lab", without=("lab/mutants/bugs/",)) != sources_hash()
