"""Commands that pages show run as they are pasted: from a fresh clone, in a shell that lacks the environment.

The cheap ones are run. Of the others the target, the program's command and every option have to exist. A
command that needs something of the reader's has a word in capitals in its place.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lab.cli import app as lab
from payments_core.entrypoints.cli import app as core
from payments_verify.called import command_line
from payments_verify.cli import app as verify
from tests.docs.pages import ROOT, blocks, names

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "specs").rglob("*.md"))]
APPS = {"payments-verify": verify, "payments-core": core, "python -m lab": lab}
OF_THE_READER = re.compile(r"\b(AUDITOR|CHECKOUT|CMD|DIR|DSN|FILE|HOST|PAGE|PYTHON|SEED|URL)\b(?!=)")
CHEAP = re.compile(r" (--help|--list|--show-binding|history specs/\S+|token)( |$)")
RUN_BY_MAKE = re.compile(r"\s*\.venv/bin/(payments-|python -m lab )")
BARE = "/usr/bin:/bin"
_LIMIT_S = 120


def commands(page: str) -> list[str]:
    """The commands of a page's fenced blocks, without comments; output and the curl lines are none."""
    shown = [*blocks(page, ""), *(block for block in blocks(page, "sh") if "curl" not in block)]
    found = [
        block
        for block in shown
        if re.match(r"\s*(make|pip|pytest|PYTHON|\S*payments-\w+|\S*python -m lab) \S", block)
    ]
    lines = [line for block in found for line in block.replace("\\\n", "").splitlines()]
    typed = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line[:2] == "$ "]
    return [bare for line in [*lines, *typed] if (bare := re.sub(r"\s+#.*", "", line).strip())]


EVERY = {command: page for page in PAGES for command in commands(page.read_text())}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The checkout as `make sync` leaves it, with this Python's environment and nothing built."""
    for path in ROOT.iterdir():
        if not path.name.startswith((".venv", "build")):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def pasted(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={"PATH": BARE, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )


def wrong_with(command: str, folder: Path) -> str:
    """Why a command would not do what it says; empty if nothing is known to be wrong."""
    program, *arguments = shlex.split(command.partition(" > ")[0])
    if arguments[:2] == ["-m", "lab"]:
        program, arguments = f"{program} -m lab", arguments[2:]
    if program == "make":
        shown = pasted(f"make -n {shlex.join(arguments)}", folder)
        if shown.returncode != 0:
            return shown.stderr
        runs = [line.strip() for line in shown.stdout.splitlines() if RUN_BY_MAKE.match(line)]
        return "; ".join(filter(None, (wrong_with(each, folder) for each in runs)))
    if program in ("echo", "git", "PYTHON"):
        return ""
    name = program.removeprefix(".venv/bin/")
    if name == program or name not in APPS:
        return f"{program} is not on a bare PATH"
    result = CliRunner().invoke(APPS[name], [*arguments, "--help"])
    return "" if result.exit_code == 0 else result.output


@pytest.mark.parametrize("command", EVERY)
def test_what_a_command_names_exists(command: str, clone: Path) -> None:
    assert wrong_with(command, clone) == ""


@pytest.mark.parametrize("command", [each for each in EVERY if CHEAP.search(each)])
def test_a_cheap_command_runs_as_it_is_pasted(command: str, clone: Path) -> None:
    done = pasted(command, clone)
    expected = 1 if "naive-capture" in command else 0
    assert (done.returncode, done.stdout != "" or " > " in command) == (expected, True), done.stderr


def unknown_inline(page: str) -> list[str]:
    """The commands within a page's sentences that do not exist, or have an option that does not."""
    sentences = re.sub(r"^ *```.*?^ *```$", "", page, flags=re.MULTILINE | re.DOTALL)
    inline = [
        re.fullmatch(r"(?:\.venv/bin/)?(payments-\w+|python -m lab) ([^|…]+).*", name)
        for name in names(sentences)
    ]
    return [
        found[0]
        for found in inline
        if found is not None and found[1] in APPS
        if CliRunner().invoke(APPS[found[1]], [*shlex.split(found[2]), "--help"]).exit_code != 0
    ]


def test_commands_within_sentences_exist() -> None:
    assert {page: unknown for page in PAGES if (unknown := unknown_inline(page.read_text()))} == {}


def test_a_command_within_a_sentence_that_does_not_exist_is_found() -> None:
    page = "`payments-verify explore --list`, `payments-verify explores`, `payments-core serve --dem`"
    assert unknown_inline(page) == ["payments-verify explores", "payments-core serve --dem"]


def test_there_are_commands_of_each_kind() -> None:
    assert sum(each.startswith("make ") for each in EVERY) > 5
    assert sum(each.startswith(".venv/bin/payments-verify ") for each in EVERY) > 15
    assert any(each.startswith(".venv/bin/payments-core ") for each in EVERY)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("payments-core serve --demo", "bare PATH"),
        ("pip install 'payments-core[client]'", "bare PATH"),
        ("make serve SERVE_ARGS=--dem", "No such option"),
        ("make sevre", "sevre"),
        (".venv/bin/payments-verify explore --scenarios all", "No such option"),
        (".venv/bin/payments-verify inspect", "No such command"),
    ],
)
def test_a_command_that_does_not_run_is_found(command: str, says: str, clone: Path) -> None:
    assert says in wrong_with(command, clone)


def test_a_command_within_a_command_runs_as_it_is_pasted() -> None:
    asked = [shlex.split(each) for each in EVERY if " --command '" in each]
    within = [shlex.split(words[words.index("--command") + 1]) for words in asked]
    assert within
    for words in within:
        assert any(word.startswith(".venv/bin/") or (ROOT / word).is_file() for word in words), words


def test_paths_and_addresses_that_are_not_here_are_in_capitals() -> None:
    for command in EVERY:
        needs = re.search(r"--url|--executor|--workers-at|postgresql://|^PYTHON", command)
        assert needs is None or OF_THE_READER.search(command), command


def test_hints_name_the_program_as_the_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "a b" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "payments-verify"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", BARE)
    assert command_line("replay", "x y.json") == f"'{folder}/payments-verify' replay 'x y.json'"
    monkeypatch.chdir(tmp_path / "a b")
    assert command_line("replay", Path("x.json")) == "bin/payments-verify replay x.json"
    monkeypatch.setenv("PATH", f"{folder}:{BARE}")
    assert command_line("replay", 1) == "payments-verify replay 1"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert command_line() == "payments-verify"
