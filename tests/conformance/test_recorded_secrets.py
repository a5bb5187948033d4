"""Wherever a binding can carry a secret, `--record` leaves it out of all that it keeps."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import httpx
import pytest
import typer
from typer.testing import CliRunner

from payments_verify.binding import Names, default_text, parse
from payments_verify.cli import app
from payments_verify.cli.discovering import end_discovery
from payments_verify.cli.ends import Ended
from payments_verify.payments.conformance.examination import Examination
from payments_verify.payments.conformance.levels import LevelResult
from payments_verify.payments.exploration.discovery_check import DiscoveryResult
from payments_verify.payments.observed.http_steps import HttpRun, HttpStep
from payments_verify.payments.told.http import as_json, shell_lines
from payments_verify.result import CheckResult
from payments_verify.systems import in_memory
from payments_verify.systems.kept_http import learn_credentials, secrets_of, session_secrets
from pgweave.service.exchange import HttpExchange

SECRET = 's3cr&t"/+=x'
PRINTED = '{"access_token": "of-its-own"}'
LOGIN = "[[setup]]\nrequest = 'POST /login'\n"
PLACES = {
    "a variable in a header field": ("headers = {}", 'headers = { X-Mine = "a ${THE_SECRET}" }'),
    "a literal header field": ("headers = {}", f"headers = {{ Authorization = 'Bearer {SECRET}' }}"),
    "a literal cookie": ("headers = {}", f"headers = {{ Cookie = '{SECRET}' }}"),
    "a command's header field": (
        "[commands.create]",
        f"[commands.create]\nheaders = {{ X-Api-Key = '{SECRET}' }}",
    ),
    "the environment": ("environment = {", f"environment = {{ JWT_SECRET = '{SECRET}',"),
    "a variable in the environment": ("environment = {", 'environment = { MINE = "${THE_SECRET}",'),
    "a variable in a set-up's body": ("[ids]", LOGIN + 'body = { pin = "${THE_SECRET}" }\n\n[ids]'),
    "a literal in a set-up's body": (
        "[ids]",
        f"{LOGIN}body = {{ a = {{ password = '{SECRET}' }} }}\n\n[ids]",
    ),
    "a set-up's header field": ("[ids]", f"{LOGIN}headers = {{ X-Token = '{SECRET}' }}\n\n[ids]"),
    "a set-up's parameter": ("[ids]", f"[[setup]]\nrequest = 'POST /login?api_key={quote(SECRET)}'\n\n[ids]"),
    "a variable in a set-up's path": ("[ids]", '[[setup]]\nrequest = "POST /${THE_SECRET}/x"\n\n[ids]'),
    "a variable in a set-up's answer": (
        "[ids]",
        LOGIN + 'answers = [{ status = 200, where = { who = "${THE_SECRET}" } }]\n\n[ids]',
    ),
    "a variable in SQL": ('FOR NO KEY UPDATE"', 'FOR NO KEY UPDATE -- ${THE_SECRET}"'),
    "a variable in a sweep": ('"payments-core sweep"', '"payments-core sweep ${THE_SECRET}"'),
    "a login's token": ("[ids]", LOGIN + 'save = { token = "t" }\n\n[ids]'),
    "a login's answer that is a token": ("[ids]", LOGIN + 'save = { mine = "meta.session_token" }\n\n[ids]'),
    "a token before each payment": (
        "[ids]",
        "[[setup]]\nbefore = 'create'\nrequest = 'POST /order'\nsave = { client_secret = \"t\" }\n\n[ids]",
    ),
    "what is sent with every request": (
        "headers = {}\n",
        'headers = { X-Who = "{who}" }\n',
    ),
}


def kept_of(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, str]:
    """What is recorded of a service that puts the secret, however it is written, wherever it can."""
    binding = parse(text, "mine.toml")
    saved: dict[str, str | int] = {name: SECRET for step in binding.setup for name in step.save}
    names = Names(saved=saved, saved_for={"p": saved})
    written = [SECRET, json.dumps(SECRET), html.escape(SECRET), quote(SECRET), quote_plus(SECRET)]
    written += [
        urlencode({"a": SECRET}),
        json.dumps(json.dumps(SECRET)),
        html.escape(json.dumps({"a": SECRET})),
    ]
    found = CheckResult("x", "x", 1, "violated", 0.0, counterexample="\n".join(written))

    @contextmanager
    def examined(*_arguments: Any, output_folder: Path, **_options: object) -> Iterator[Examination]:
        (output_folder / "service-1.out").write_text("\n".join([PRINTED, *written]))
        secrets = dict(secrets_of(binding))
        yield replace(Examination("x", in_memory), secrets=secrets)
        secrets |= session_secrets(binding, names)

    def examine(*_arguments: object, folder: Path, results: list[LevelResult], **_options: object) -> None:
        for kind in ("histories", "schedules", "programs"):
            (folder / kind).mkdir()
            (folder / kind / "x.json").write_text(json.dumps({"values": written}))
        results.append(LevelResult(1, "violated", (found,)))

    module = import_module("payments_verify.cli.conformance")
    monkeypatch.setattr(module, "examined", examined)
    monkeypatch.setattr(module, "examine", examine)
    file = folder.parent / "mine.toml"
    file.write_text(text)
    done = CliRunner().invoke(
        app, ["conformance", "--command", "x", "--binding", str(file), "--record", str(folder), *more]
    )
    assert done.exit_code == 1, done.output
    assert "recorded:" in done.stderr
    kept = {each.name: each.read_text() for each in folder.rglob("*") if each.is_file()}
    return {**kept, "stdout": done.stdout, "stderr": done.stderr}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_in_nothing_that_is_kept(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    before, after = PLACES[place]
    text = default_text()
    if "{who}" in after:
        text = text.replace("[ids]", LOGIN + 'save = { who = "w" }\n\n[ids]', 1)
    assert before in text
    kept = kept_of(text.replace(before, after, 1), tmp_path / "record", monkeypatch)
    assert {"x.json", "service-1.out", "binding.toml", "conformance.json", "index.html"} <= kept.keys()
    assert [name for name, content in kept.items() if "s3cr" in content] == []


def test_a_binding_without_a_secret_is_kept_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of a connection string is none, and what the check of this page looks for is found there."""
    kept = kept_of(default_text(), tmp_path / "record", monkeypatch)
    assert "s3cr" in kept["x.json"]
    assert 'environment = { DATABASE_URL = "{url}" }' in kept["binding.toml"]
    parse(kept["binding.toml"], "kept")


def test_what_a_service_prints_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_of(default_text(), tmp_path / "record", monkeypatch)
    assert SECRET in kept["service-1.out"]
    assert PRINTED in kept["service-1.out"]


@pytest.mark.parametrize(
    "template",
    ["host={host} password={password} user=${THE_SECRET}", "db://{user}:{password}@{host}/${THE_SECRET}"],
)
def test_a_template_of_a_password_is_none(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    text = default_text().replace('"{url}"', f'"{template}"')
    assert template in kept_of(text, tmp_path / "record", monkeypatch)["binding.toml"]


def test_one_that_is_too_short_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", "a")
    text = default_text().replace("headers = {}", 'headers = { X-Mine = "${THE_SECRET}" }')
    kept = kept_of(text, tmp_path / "record", monkeypatch)
    assert json.loads(kept["conformance.json"])["level"] == 0
    assert 'X-Mine = "${THE_SECRET}"' in kept["binding.toml"]
    assert "not left out of what is written: THE_SECRET" in kept["stderr"]


def test_what_is_printed_is_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    text = default_text().replace("headers = {}", 'headers = { X-Mine = "${THE_SECRET}" }')
    assert "${THE_SECRET}" in kept_of(text, tmp_path / "told", monkeypatch)["stdout"]
    in_json = kept_of(text, tmp_path / "in json", monkeypatch, "--json")["stdout"]
    assert json.loads(in_json)["verdict"] == "violated"
    assert "s3cr" not in in_json


def test_a_cookie_that_a_service_has_set_is_learned() -> None:
    learned: dict[str, str] = {}

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=[("Set-Cookie", "sid=abcd"), ("Set-Cookie", "theme=dark")])

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://there") as http:
            learn_credentials(http, learned)
            await http.get("/login")
            await http.get("/x", headers={"Authorization": "Bearer signed-anew"})

    asyncio.run(ask())
    assert learned == {"abcd": "SID_COOKIE", "signed-anew": "AUTHORIZATION"}


def test_what_a_function_adds_to_a_known_secret_is_one() -> None:
    sent = HttpExchange("GET", "http://there", "/x", (("Authorization", b"Mac known:signed"),), b"", 1.0)
    step = HttpStep("client", "read", exchanges=(sent,))
    assert "signed" not in json.dumps(as_json(HttpRun.of((step,), {"known": "KEY"}, "sign.py:sign")))
    assert "${KEY}:signed" in json.dumps(as_json(HttpRun.of((step,), {"known": "KEY"}, "")))


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "authorization", "Proxy-Authorization"])
def test_what_is_sent_as_a_credential_is_in_no_line_for_curl(name: str) -> None:
    """A cookie that a login has set, and what a function has signed, are in no binding."""
    sent = HttpExchange(
        "GET", "http://there", "/x", ((name, b"sid=s3cret; theme=dark"), ("X-A", b"b")), b"", 1.0
    )
    run = HttpRun.of((HttpStep("client", "read", exchanges=(sent,)),), {}, "")
    told = shell_lines(run) + json.dumps(as_json(run))
    assert "s3cret" not in told
    assert f"{name.upper().replace('-', '_')}}}" in told
    assert "X-A: b" in told


def test_each_payment_has_a_token_with_a_name_of_its_own() -> None:
    before = (
        "[[setup]]\nbefore = 'create'\nrequest = 'POST /order'\nsave = { client_secret = \"t\" }\n\n[ids]"
    )
    binding = parse(default_text().replace("[ids]", before, 1), "mine")
    names = Names(saved_for={"p": {"client_secret": "of-p"}, "q": {"client_secret": "of-q"}})
    assert session_secrets(binding, names) == {"of-p": "CLIENT_SECRET", "of-q": "CLIENT_SECRET_2"}


def test_how_long_a_token_lives_is_no_secret() -> None:
    text = default_text().replace(
        "environment = {", 'environment = { TOKEN_TTL = "3600", JWT_SECRET = "abcd",'
    )
    assert secrets_of(parse(text, "mine")) == {"abcd": "JWT_SECRET"}


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_discovered_is_printed_without_it(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    result = DiscoveryResult(f"serve {SECRET}")
    with pytest.raises(typer.Exit):
        end_discovery(result, Ended(SECRET), "", result.as_json if as_json else None, {SECRET: "NAME"})
    printed = capsys.readouterr().out
    assert "${NAME}" in printed
    assert "s3cr" not in printed
