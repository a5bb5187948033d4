"""Commands as processes: bugs in what they take for settings, refuse and print are found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg.conninfo import conninfo_to_dict

from payments_core.entrypoints.settings import Settings
from payments_core.entrypoints.tokens import TokenScope, entry, make
from payments_verify.systems import EXPLORING, prepared_database
from payments_verify.systems.database import new_database, unmigrated_database
from payments_verify.systems.processes import asked, commanded, settings_seen
from payments_verify.systems.processes.asked import NotServedError, serving
from payments_verify.systems.processes.drained import wrong_ends
from payments_verify.systems.processes.forked import Forks, forks
from payments_verify.systems.processes.hurt_sweeps import wrong_hurt_sweeps
from payments_verify.systems.processes.own_data import wrong_own_data
from payments_verify.systems.processes.printed import printed_secret, secret, with_secrets
from payments_verify.systems.processes.refused_starts import wrong_refusals
from payments_verify.systems.processes.settings_seen import Token
from payments_verify.systems.processes.traps import OTHERWISE
from tests.support.exploring import run
from tests.support.mutants import CATALOGUE, Edit, mutated_copy
from tests.support.postgres import chosen_bin_dir

Look = Callable[[Forks, str, Path], Awaitable[str | None]]


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with prepared_database(chosen_bin_dir(), EXPLORING) as prepared:
        yield prepared


async def refusals(made: Forks, dsn: str, folder: Path) -> str | None:
    with unmigrated_database(dsn) as empty, new_database(dsn) as demo:
        return await wrong_refusals(made, dsn, str(folder / "none"), empty, demo)


async def sweeps(made: Forks, dsn: str, _folder: Path) -> str | None:
    return await commanded.wrong_sweep(made, dsn)


async def hurt_sweeps(made: Forks, dsn: str, _folder: Path) -> str | None:
    return await wrong_hurt_sweeps(made, dsn)


async def own_data(made: Forks, dsn: str, _folder: Path) -> str | None:
    return await wrong_own_data(made, dsn)


async def ends(made: Forks, dsn: str, _folder: Path) -> str | None:
    try:
        return await wrong_ends(made, dsn)
    except NotServedError as error:
        return str(error)


async def tokens_in_a_file(made: Forks, dsn: str, folder: Path) -> str | None:
    tokens = [await commanded._token(made, scopes) for scopes in ((), ("read",))]  # noqa: SLF001
    kept = [each for each in tokens if isinstance(each, Token)]
    (folder / "tokens").write_text(kept[1].entry)
    given = {"PAYMENTS_TOKENS": kept[0].entry, "PAYMENTS_TOKENS_FILE": str(folder / "tokens")}
    async with serving(made, dsn, "tokens", "--port", "0", **given) as served:
        return await settings_seen._wrong_after_changes(served, folder / "tokens", kept)  # noqa: SLF001


async def printed(made: Forks, dsn: str, folder: Path, level: str = "info") -> str | None:
    for _ in range(2):  # as a URL, and not
        await made.run("sweep", DATABASE_URL=dsn, PAYMENTS_LOG_LEVEL=level)
        await made.run("migrate", DATABASE_URL=dsn)
        async with serving(made, dsn, "printed", "--port", "0", PAYMENTS_LOG_LEVEL=level):
            pass
    refused = await refusals(made, dsn, folder)
    return refused or made.printed_secret([])


TOKENS_OF_THE_FOLDER = Edit(
    "entrypoints/settings.py",
    "    tokens_file: Path | None = None\n",
    '    tokens_file: Path | None = Path("tokens") if Path("tokens").exists() else None\n',
)
SECRETS_FOLDER = Edit(
    "entrypoints/settings.py",
    '        env_prefix="PAYMENTS_",\n',
    '        env_prefix="PAYMENTS_",\n        secrets_dir="secrets",\n',
)
KEPT_UNLESS_THERE_ARE_MORE = Edit(
    "entrypoints/http/authentication.py",
    "    def __init__(self, tokens: Tokens) -> None:\n",
    "    def __init__(self, tokens: Tokens) -> None:\n"
    "        import os; from payments_core.entrypoints.tokens import Tokens as T, load\n"
    "        kept, place = dict(tokens.scopes), os.environ.get('PAYMENTS_TOKENS_FILE')\n"
    "        class Again(T):\n"
    "            def scopes_of(self, token):\n"
    "                try: kept.update(load('', Path(place)).scopes)\n"
    "                except Exception: pass\n"
    "                return T(kept).scopes_of(token)\n"
    "        from pathlib import Path\n"
    "        tokens = Again(kept) if place else tokens\n",
)
NOT_HANDED_ON = Edit("entrypoints/commands.py", "                _hand_on(accepted, workers)\n", "")
SETTINGS_IN_THE_LOG = Edit(
    "entrypoints/commands.py",
    "    _require_schema(settings, _database_url(settings))\n    try:\n        swept",
    "    _require_schema(settings, _database_url(settings))\n"
    "    import logging; logging.getLogger().debug('%s', settings.database_url)\n    try:\n        swept",
)
WHY_IT_IS_NONE = Edit(
    "infrastructure/postgres/dsn.py",
    "        raise DsnError from None  # psycopg's error repeats the string\n",
    "        raise ValueError(f'no connection string: {dsn}, percent-encode it') from None\n",
)
_DATABASE = "with _database(settings, data or DEFAULT_FOLDER,"
DATA_OF_A_RUN = Edit(
    "entrypoints/commands.py",
    _DATABASE,
    "with _database(settings, (data or DEFAULT_FOLDER) / str(os.getpid()),",
)
ENTRY_SHOWN = Edit(
    "entrypoints/tokens.py",
    """                f"{place}: a token's SHA-256""",
    """                f"{place}: {entry}: a token's SHA-256""",
)


@pytest.mark.parametrize(
    ("look", "edits", "told"),
    [
        (
            refusals,
            CATALOGUE.edits("settings-from-a-file-of-the-folder-too"),
            "I8, I9: payments-core migrate, in",
        ),
        (refusals, [SECRETS_FOLDER], "I8, I9: payments-core migrate, in"),
        (refusals, [TOKENS_OF_THE_FOLDER], "PAYMENTS_HOST=0.0.0.0 payments-core serve"),
        (
            sweeps,
            CATALOGUE.edits("sweep-ends-with-a-batch-that-is-not-full"),
            "of 5 that are due, where others held the ones at (0,)",
        ),
        (
            sweeps,
            CATALOGUE.edits("sweep-ends-behind-locked-payments"),
            "of 5 that are due, where others held the ones at (0, 3)",
        ),
        (
            hurt_sweeps,
            CATALOGUE.edits("sweep-passes-over-places"),
            "should expire 1, of 3 that others held as it began, 2 of which they have voided meanwhile",
        ),
        (
            hurt_sweeps,
            CATALOGUE.edits("sweep-that-failed-told-as-done"),
            "whose statement 0 fails (57014), is to end with 2 and to say why: exit code 0",
        ),
        (
            hurt_sweeps,
            CATALOGUE.edits("sweep-command-within-a-statements-time"),
            "where PAYMENTS_STATEMENT_TIMEOUT_MS and PAYMENTS_TRANSACTION_TIMEOUT_MS are less than",
        ),
        (own_data, [], None),
        (
            own_data,
            CATALOGUE.edits("data-folder-passed-over"),
            "I9: start 1 of payments-core serve --data FOLDER: payments-core serve did not start",
        ),
        (own_data, [DATA_OF_A_RUN], " of payments-core serve --data FOLDER: "),
        (ends, [], None),
        (
            ends,
            CATALOGUE.edits("interrupt-cuts-requests-off"),
            "I9: a process is told to end (SIGINT)",
        ),
        (
            ends,
            CATALOGUE.edits("closed-terminal-cuts-requests-off"),
            "I9: a process is told to end (SIGHUP)",
        ),
        (
            ends,
            CATALOGUE.edits("pool-of-one-connection-does-not-start"),
            "payments-core serve did not start",
        ),
        (
            tokens_in_a_file,
            CATALOGUE.edits("tokens-file-read-again-when-it-changes"),
            "is no list of tokens after the start, and a client with a token that it had is answered 401",
        ),
        (
            tokens_in_a_file,
            [KEPT_UNLESS_THERE_ARE_MORE, NOT_HANDED_ON],
            "has another token after the start, and a client with that token is answered 200",
        ),
        (partial(printed, level="debug"), [], None),
        (
            printed,
            CATALOGUE.edits("address-shown-without-its-password-alone"),
            "I11: payments-core serve --port 0 prints of its settings a secret (sslpassword)",
        ),
        (
            partial(printed, level="debug"),
            [SETTINGS_IN_THE_LOG],
            "I11: payments-core sweep prints of its settings",
        ),
        (printed, [WHY_IT_IS_NONE], "prints of its settings a secret (password)"),
        (printed, [ENTRY_SHOWN], "prints of its settings a secret (token)"),
    ],
)
def test_what_commands_take_for_settings_and_print(
    dsn: str,
    look: Look,
    edits: Sequence[Edit],
    told: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def wrong() -> str | None:
        async with forks() as made:
            return await look(made, new, tmp_path)

    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, edits)))
    with new_database(dsn) as new:
        found = run(wrong())
    assert found == told or (told is not None and told in str(found))


@pytest.fixture(scope="module")
def tokens() -> list[Token]:
    made = []
    for scopes in commanded._sets():  # noqa: SLF001
        token, digest = make()
        made.append(Token(scopes, token, entry(digest, map(TokenScope, scopes))))
    return made


@pytest.mark.long
@pytest.mark.parametrize("name", [None, *sorted(Settings.model_fields.keys() - {"database_url", "demo"})])
def test_a_setting_that_is_passed_over_is_found(
    dsn: str, name: str | None, tokens: list[Token], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong() -> str | None:
        async with forks() as made:
            return await settings_seen.wrong_settings(made, databases, tmp_path, tokens)

    passed_over = Edit(
        "entrypoints/settings.py",
        "    model_config = SettingsConfigDict(\n",
        '    @model_validator(mode="before")\n'
        "    @classmethod\n"
        "    def _pass_over(cls, given: dict[str, object]) -> dict[str, object]:\n"
        f"        return {{each: value for each, value in given.items() if each != {name!r}}}\n\n"
        "    model_config = SettingsConfigDict(\n",
    )
    monkeypatch.setattr(settings_seen, "LIMIT_S", 2.0)
    monkeypatch.setattr(asked, "LIMIT_S", 2.0)
    monkeypatch.setenv("PYTHONPATH", str(mutated_copy(tmp_path, [passed_over])))
    with ExitStack() as stack:
        databases = [stack.enter_context(new_database(dsn)) for _ in range(3)]
        told = run(wrong())
    assert told is None if name is None else str(told).startswith("I")


def test_every_setting_stands_otherwise_in_the_folder() -> None:
    fields = Settings.model_fields.items()
    names = {str(each.validation_alias or f"PAYMENTS_{name.upper()}") for name, each in fields}
    assert names == OTHERWISE.keys()


@pytest.mark.parametrize("as_url", [True, False])
def test_a_connection_string_has_each_secret_beside_what_it_had(as_url: bool) -> None:
    given = "postgresql://user:p%40ss@/payments?host=/a%20b&application_name=x"
    parts = conninfo_to_dict(with_secrets(given, as_url=as_url))
    assert conninfo_to_dict(given).items() <= parts.items()
    assert parts["sslpassword"] == secret("sslpassword")


def test_what_is_no_connection_string_stays_as_it_is() -> None:
    for given in (" ", "host=x pasword=y", f"host={secret('host')}"):
        assert with_secrets(given, as_url=True) == given


def test_a_secret_is_told_by_its_name_with_what_stands_around_it() -> None:
    token = f"pay_{uuid4().hex}"
    assert printed_secret(["sweep"], "expired 2 payments", [token, "2"]) is None
    for text, what in ((secret("password"), "password"), (token, "password, or a token, that is in use")):
        told = printed_secret(["sweep"], f"before {text} behind", [token])
        assert told == (
            f"I11: payments-core sweep prints of its settings a secret ({what}): … before {text} behind …"
        )
