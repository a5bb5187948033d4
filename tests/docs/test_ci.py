"""What CI makes of the containers: only those that fail, fail it; nothing hides the tests' result."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

CHECKED = "the tests have run"


def ended(
    folder: Path,
    *,
    check: str = "exit 0",
    install_examples: str = "exit 0",
    examples: str = "exit 0",
    dist: str = "exit 0",
    containers: str = "exit 0",
    alone: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `.ci/run` with a `make` and a `python` that do what is given.

    Without `alone` there is nothing to install; with it, these programs, and few others, are on the PATH.
    """
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / ".ci" / "packages").write_text("")
    make = f'case "$1" in\ncheck) echo {CHECKED}\n{check} ;;\n'
    make += f"install-examples) {install_examples} ;;\ntest-examples) {examples} ;;\ndist) {dist} ;;\nesac"
    programs = {"bin/make": make, ".venv/bin/python": containers}
    programs |= {"bin/docker": ""} if alone is None else {f"bin/{name}": it for name, it in alone.items()}
    for name, body in programs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    for name in () if alone is None else ("bash", "sh", "dirname", "timeout", "sleep"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    return subprocess.run(
        ["bash", folder / ".ci" / "run"],
        env={
            **os.environ,
            "PATH": str(folder / "bin") + ("" if alone else f":{os.environ['PATH']}"),
            "CONTAINERS_LIMIT_S": "1",
            "CONTAINERS_CLEAN_UP_S": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_tests_that_fail_fail_it_and_nothing_follows(tmp_path: Path) -> None:
    done = ended(tmp_path, check="exit 2", containers="echo containers")
    assert (done.returncode, done.stdout) == (2, f"{CHECKED}\n")


def test_an_example_that_fails_fails_it(tmp_path: Path) -> None:
    done = ended(tmp_path, examples="echo a bug is not found; exit 2", dist="echo dist")
    assert (done.returncode, done.stdout) == (2, f"{CHECKED}\na bug is not found\n")


def test_examples_that_cannot_be_installed_are_named(tmp_path: Path) -> None:
    done = ended(tmp_path, install_examples="exit 2", examples="echo examples", containers="exit 0")
    assert done.returncode == 0
    assert "CI: examples: NOT TRIED: what they need cannot be installed here\n" in done.stdout
    assert "\nexamples\n" not in done.stdout


def test_a_release_that_fails_fails_it(tmp_path: Path) -> None:
    done = ended(tmp_path, dist="echo it lacks a package; exit 2", containers="echo containers")
    assert (done.returncode, done.stdout) == (2, f"{CHECKED}\nit lacks a package\n")


@pytest.mark.parametrize(
    ("containers", "code", "says"),
    [
        ("exit 0", 0, "CI: containers: everything holds"),
        ("exit 1", 1, "CI: containers: they FAIL, with code 1"),
        ("exit 2", 0, "CI: containers: NOT TRIED: this machine cannot; the line above says why"),
        ("exec sleep 30", 0, "CI: containers: NOT TRIED: no end within 1 s"),
        ("trap '' TERM; while :; do sleep 1; done", 0, "CI: containers: NOT TRIED: no end within 1 s"),
        ("kill -SEGV $$", 139, "CI: containers: they FAIL, with code 139"),
    ],
    ids=["hold", "fail", "cannot", "hang", "hang and cannot be ended", "crash"],
)
def test_containers_that_fail_fail_it_and_each_end_is_said(
    tmp_path: Path, containers: str, code: int, says: str
) -> None:
    done = ended(tmp_path, containers=containers)
    said = done.stdout.splitlines()
    assert (done.returncode, said[0], said[-1]) == (code, CHECKED, says)


def test_what_a_machine_lacks_is_named(tmp_path: Path) -> None:
    done = ended(tmp_path, containers="echo 'containers: not tried: docker is not installed' >&2; exit 2")
    assert "docker is not installed" in done.stdout.splitlines()[-2]


@pytest.mark.parametrize(
    ("lists", "package", "says"),
    [
        ("exit 0", "exit 0", []),
        ("exit 100", "exit 0", ["docker.io and debootstrap cannot be installed here"]),
        ("exit 0", "exit 100", ["docker.io and debootstrap cannot be installed here"]),
    ],
    ids=["installed", "no lists", "no package"],
)
def test_the_engine_is_installed_from_lists_of_today(
    tmp_path: Path, lists: str, package: str, says: list[str]
) -> None:
    asked = tmp_path / "asked"
    apt = f'echo "$1 $*" >> {asked}\ncase "$1" in update) {lists} ;; esac\n{package}'
    done = ended(tmp_path, alone={"apt-get": apt, "id": "echo 0"})
    assert done.stdout.splitlines()[1:-1] == ["installing docker.io and debootstrap", *says]
    verbs = [line.split()[0] for line in asked.read_text().splitlines()]
    assert verbs == ["update", *([] if lists != "exit 0" else ["install"])]
    assert done.returncode == 0


@pytest.mark.parametrize(("given", "asks_for"), [({}, "true"), ({"UV_SYSTEM_CERTS": "false"}, "false")])
def test_the_set_up_trusts_the_authorities_of_the_machine(given: dict[str, str], asks_for: str) -> None:
    if not Path("/etc/ssl/certs/ca-certificates.crt").exists():
        asks_for = given.get("UV_SYSTEM_CERTS", "")
    environment = {name: it for name, it in os.environ.items() if name != "UV_SYSTEM_CERTS"} | given
    words = ["make", "--silent", "--eval", "asked:; @echo $$UV_SYSTEM_CERTS", "asked"]
    asked = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == asks_for
