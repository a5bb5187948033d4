"""The check of a release can fail."""

from __future__ import annotations

import zipfile
from pathlib import Path

import payments_core
from lab.release.__main__ import ROOT, contents_complaints, version_complaints
from lab.release.distributions import Distributions

NAMED = Distributions(ROOT, payments_core.__version__).named
RIGHT = ["payments_core-1.0.dist-info/licenses/LICENSE", "payments_core/py.typed"]


def wheel(folder: Path, names: list[str]) -> dict[str, Path]:
    path = folder / "payments_core-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return {"payments-core": path}


def test_a_wheel_of_its_packages_alone_is_right(tmp_path: Path) -> None:
    assert contents_complaints(wheel(tmp_path, RIGHT), NAMED) == []


def test_what_is_too_much_or_missing_is_named(tmp_path: Path) -> None:
    held = [RIGHT[0], "pgweave/api.py", "payments_demo/app.py", "payments_core/__pycache__/cli.pyc"]
    complaints = "\n".join(contents_complaints(wheel(tmp_path, held), NAMED))
    for folder in ("pgweave", "payments_demo"):
        assert f"holds {folder}" in complaints
    assert f"lacks {RIGHT[-1]}" in complaints
    assert "holds payments_core/__pycache__/cli.pyc" in complaints


def test_another_version_is_named(tmp_path: Path) -> None:
    wheels = wheel(tmp_path, RIGHT)
    assert version_complaints(wheels) == [
        f"{wheels['payments-core'].name} is not {payments_core.__version__}"
    ]


def test_the_changelog_has_the_version(tmp_path: Path) -> None:
    named = tmp_path / f"payments_core-{payments_core.__version__}-py3-none-any.whl"
    assert version_complaints({"payments-core": named}) == []
