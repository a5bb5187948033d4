"""The check of the containers can fail, and says what a machine lacks that cannot run it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from lab.containers import engine, hurting
from lab.containers.__main__ import base_images, up
from lab.containers.hurting import hurt_under_load
from lab.steps import Steps, UnableError, UndecidedError, ViolationError
from payments_core.entrypoints.http.app import create_app
from payments_verify.systems.memory_store import InMemoryPaymentStore
from tests.docs.pages import ROOT
from tests.support.misbehaving import Behaviour, Front
from tests.support.stores import NOON
from tests.support.threads import served


def test_a_machine_without_an_engine_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.containers"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "containers: not tried: docker is not installed\n"


def test_what_a_killed_run_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, links = tmp_path / "folders", tmp_path / "links"
    folders.mkdir()
    links.mkdir()
    monkeypatch.setattr(engine, "_FOLDERS", folders)
    monkeypatch.setattr(engine, "_LINKS", links)
    deleted: list[str] = []
    shell = SimpleNamespace(ask=lambda *words: deleted.append(words[-1]))
    with (
        subprocess.Popen(
            [sys.executable, "-c", KILLED, str(folders), str(links)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as killed,
        engine.own_folder(cast("Any", shell)) as lives,
    ):
        assert killed.stdout is not None
        left = Path(killed.stdout.readline().strip())
        killed.kill()
        killed.wait()
        own, others = (f"pcore-{each.name.rpartition('-')[2]}" for each in (left, lives))
        for bridge in (own, others, "docker0", "br-0123456789ab"):
            (links / bridge / "brif").mkdir(parents=True)
        (links / "docker0" / "brif" / "veth").touch()  # somebody uses it
        engine.remove_left_behind(cast("Any", shell))
        assert (left.exists(), lives.exists()) == (False, True)
        assert deleted == [own]
        assert len(own) <= 15
    assert not lives.exists()
    assert deleted == [own, others]


KILLED = """
import sys, time
from pathlib import Path
from lab.containers import engine
engine._FOLDERS, engine._LINKS = map(Path, sys.argv[1:])
with engine.own_folder(None) as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


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
    with served(Replaceable()) as url, pytest.raises(UndecidedError, match="no request was made meanwhile"):
        hurt_under_load(url, lambda: None, tmp_path / "history")


@pytest.mark.usefixtures("quick")
def test_what_was_acknowledged_and_is_lost_is_found(tmp_path: Path) -> None:
    service = Replaceable()
    with served(service) as url, pytest.raises(ViolationError, match=r"violated|exactly once"):
        hurt_under_load(url, service.lose, tmp_path / "history")


@pytest.mark.usefixtures("quick")
def test_a_history_without_a_verdict_is_no_violation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undecided = SimpleNamespace(verdict="no verdict", reason="no time is left", refuted=None)
    monkeypatch.setattr(hurting, "check", lambda *_, **__: undecided)
    with served(Replaceable()) as url, pytest.raises(UndecidedError, match="no time is left"):
        hurt_under_load(url, lambda: None, tmp_path / "history")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (ViolationError("captured twice"), ViolationError),
        (UndecidedError("no verdict"), UnableError),
        (UnableError("psql ended with 2"), ViolationError),
        (None, UnableError),
    ],
)
def test_what_was_found_outlives_a_composition_that_does_not_go_down(
    found: Exception | None, told: type[Exception]
) -> None:
    def stuck() -> None:
        raise UnableError("docker compose down did not end")

    containers = SimpleNamespace(up=lambda: None, down=stuck, url="", what_is_left=list)

    def use() -> None:
        with up(cast("Any", containers), Steps()):
            if found is not None:
                raise found

    with pytest.raises(told) as raised:
        use()
    assert isinstance(raised.value, ViolationError) is (told is ViolationError)
