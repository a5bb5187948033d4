"""The event loop in which schedules are run, and the garbage collector meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest
import uvloop

from pgweave.event_loop import collecting_garbage_seldom, new_event_loop


def test_it_is_uvloops_where_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert isinstance(runner.get_loop(), uvloop.Loop)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert not isinstance(runner.get_loop(), uvloop.Loop)


def test_the_collector_is_as_it_was_when_the_block_has_ended() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collecting_garbage_seldom():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)
