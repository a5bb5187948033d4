"""A demonstration whose environment is about another server, or whose folder has an odd name."""

from __future__ import annotations

import os
from pathlib import Path

import httpx

from tests.support.libpq_variables import FOREIGN
from tests.support.loopback import DIRECT
from tests.support.processes import serving


def test_variables_that_are_about_another_server_change_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, ["--demo"], **FOREIGN) as service:
        answer = httpx.post(f"{service.url}/payments", json={"amount_cents": 500}, timeout=30, **DIRECT)
        assert answer.status_code == 201


def test_a_temporary_folder_whose_name_is_no_text(reachable_path: Path, tmp_path: Path) -> None:
    folder = reachable_path / os.fsdecode(b"latin-\xe9")
    folder.mkdir(mode=0o711)
    with serving(tmp_path, ["--demo"], TMPDIR=str(folder), PYTHONIOENCODING="utf-8") as service:
        answer = httpx.post(f"{service.url}/payments", json={"amount_cents": 500}, timeout=30, **DIRECT)
        assert answer.status_code == 201
