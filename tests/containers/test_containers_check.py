"""The check of the containers can fail, and says what a machine lacks that cannot run it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from payments_core.entrypoints.http.app import create_app
from payments_core.infrastructure.in_memory import InMemoryPaymentStore
from tests.containers import hurting
from tests.containers.__main__ import base_images
from tests.containers.hurting import hurt_under_load
from tests.docs.pages import ROOT
from tests.support.misbehaving import Behaviour, Front
from tests.support.steps import ViolationError
from tests.support.stores import NOON
from tests.support.threads import served


def test_a_machine_without_an_engine_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.containers"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "containers: not tried: docker is not installed\n"


def test_the_bases_are_those_of_the_files() -> None:
    assert [image.partition(":")[0] for image in base_images()] == ["postgres", "python"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"_BEFORE_S": 0.1, "_AFTER_S": 0.1, "_ASKS_AGAIN_AFTER_S": 0.02}.items():
        monkeypatch.setattr(hurting, name, seconds)


class Replaceable:
    """A service whose store can be lost."""

    def __init__(self) -> None:
        self.lose()

    def lose(self) -> None:
        self._app = create_app(InMemoryPaymentStore(lambda: NOON))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


@pytest.mark.usefixtures("quick")
def test_answers_that_are_cut_are_asked_for_again(tmp_path: Path) -> None:
    with served(Replaceable()) as url, Front.before(url) as front:

        def cut_five() -> None:
            front.plan.extend([Behaviour.CUT_AFTER] * 5)
            while front.plan:
                time.sleep(0.01)

        seen = hurt_under_load(front.url, cut_five, tmp_path / "history")
    assert seen.unanswered == 5
    assert seen.captured > 0


@pytest.mark.usefixtures("quick")
def test_without_requests_meanwhile_nothing_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hurting, "CLIENTS", 0)
    with served(Replaceable()) as url, pytest.raises(ViolationError, match="no request was made meanwhile"):
        hurt_under_load(url, lambda: None, tmp_path / "history")


@pytest.mark.usefixtures("quick")
def test_what_was_acknowledged_and_is_lost_is_found(tmp_path: Path) -> None:
    service = Replaceable()
    with served(service) as url, pytest.raises(ViolationError, match=r"illegal|exactly once"):
        hurt_under_load(url, service.lose, tmp_path / "history")
