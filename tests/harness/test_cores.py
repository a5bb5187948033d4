"""As many things are done at once as there are cores for this process, and not as the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from payments_verify import children


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 3), ("150000 100000", 2), ("50000 100000", 1), ("800000 100000", 3), (None, 3)],
)
def test_affinity_and_the_cgroups_quota_bound_them(
    quota: str | None, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(f"{quota}\n")
    monkeypatch.setattr(children, "_QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 2, 5})
    assert children.usable_cores() == cores
