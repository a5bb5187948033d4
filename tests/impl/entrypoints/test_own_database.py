"""Where no database is named: what is missing is said, and what to install."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from payments_core.entrypoints import own_database
from payments_core.entrypoints.own_database import GROUP
from tests.support.processes import invoke

UNINSTALLED = EntryPoint("kept", "no_such_package.databases:kept", GROUP)


@pytest.mark.parametrize("arguments", [[], ["--demo"]], ids=["kept", "demonstration"])
@pytest.mark.parametrize("found", [[], [UNINSTALLED]], ids=["nothing", "what lacks its libraries"])
def test_without_what_starts_one_the_command_says_what_to_install(
    arguments: list[str], found: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_database, "entry_points", lambda **_named: EntryPoints(found))
    ended = invoke(["serve", "--port", "0", *arguments], {})
    assert ended.exit_code == 2
    assert (
        "pip install 'CHECKOUT[embedded]', with the folder of its sources, or set DATABASE_URL"
        in ended.stderr
    )
    assert ended.stdout == ""
