"""What `--record` keeps can be sent to others: everything is there, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from payments_verify.binding import default_text, load, parse
from payments_verify.cli import app
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from payments_verify.systems.kept_http import secrets_of

HEADERS = (
    'headers = { Authorization = "Bearer ${TOKEN_OF_MINE}", X-Api-Key = "literal-key", X-Kind = "plain" }'
)
SECRETS = ("s3cret-of-mine", "literal-key", "hunter-2", "pass-word")
COMMAND = "APP_TOKEN='hunter-2' exec ./serve --db postgresql://me:pass-word@there/x"


@pytest.fixture
def binding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret-of-mine")
    file = tmp_path / "mine.toml"
    file.write_text(default_text().replace("headers = {}", HEADERS))
    return file


def recorded(binding: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> Result:
    """Run conformance with a service that puts every secret wherever it can."""
    found = CheckResult("x", "x", 1, "violated", 0.0, counterexample=f"lost: {SECRETS}")

    @contextmanager
    def examined(*_arguments: Any, output_folder: Path, **_options: object) -> Iterator[Examination]:
        (output_folder / "service-1.out").write_text(
            f"I print {SECRETS[0]}\n\udcff", errors="surrogateescape"
        )
        yield replace(Examination("x", in_memory), secrets=secrets_of(load(binding)), postgres="18.6")

    def examine(*_arguments: object, folder: Path, results: list[LevelResult], **_options: object) -> None:
        (folder / "histories").mkdir()
        (folder / "histories" / "x.jsonl").write_text(json.dumps({"type": SECRETS[1]}))
        results.append(LevelResult(1, "violated", (found,)))

    module = import_module("payments_verify.cli.conformance")
    monkeypatch.setattr(module, "examined", examined)
    monkeypatch.setattr(module, "examine", examine)
    words = ["conformance", "--command", COMMAND, "--binding", str(binding), "--record", str(folder), *more]
    monkeypatch.setattr("sys.argv", ["payments-verify", *words])
    return CliRunner().invoke(app, words)


def test_everything_is_kept_but_secrets(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "record"
    done = recorded(binding, folder, monkeypatch, "--seed", "5")
    assert done.exit_code == 1, done.output
    assert f"recorded: {folder}" in done.stderr
    kept = {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
    assert set(kept) == {
        "README.md",
        "binding.toml",
        "conformance.json",
        "histories/x.jsonl",
        "index.html",
        "output/service-1.out",
        "printed.out",
        "run.json",
    }
    for name, content in kept.items():
        assert not [secret for secret in SECRETS if secret.encode() in content], name
    run = json.loads(kept["run.json"])
    assert (run["seed"], run["versions"]["postgresql"]) == (5, "18.6")
    assert run["command"][:2] == ["payments-verify", "conformance"]
    assert json.loads(kept["conformance.json"])["verdict"] == "violated"
    assert b"lost: " in kept["index.html"]
    assert b"level 1, sequential: violated" in kept["printed.out"]
    assert b"\xff" in kept["output/service-1.out"]
    for header in ('Authorization = "Bearer ${TOKEN_OF_MINE}"', 'X-Api-Key = "${X_API_KEY}"'):
        assert header in kept["binding.toml"].decode()
    monkeypatch.setenv("X_API_KEY", "literal-key")
    parse(kept["binding.toml"].decode(), "kept")  # is a binding again where its variables are set


def test_a_folder_with_something_in_it_is_left_alone(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").write_text("mine")
    done = recorded(binding, tmp_path, monkeypatch)
    assert done.exit_code == 2
    assert "name another folder" in " ".join(done.stderr.split())
    assert (tmp_path / "there").read_text() == "mine"


def test_a_violation_is_told_where_it_cannot_be_kept(
    binding: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_module("payments_verify.cli.record"), "_write_json", refuse)
    done = recorded(binding, tmp_path / "record", monkeypatch)
    assert done.exit_code == 1
    assert "level 1, sequential: violated" in done.stdout
    assert "No space left on device" in done.stderr
    assert "recorded:" not in done.stderr


def test_what_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "s3cret-of-mine")
    found = secrets_of(parse(default_text().replace("headers = {}", HEADERS), "mine"))
    assert found == {"s3cret-of-mine": "TOKEN_OF_MINE", "literal-key": "X_API_KEY"}
