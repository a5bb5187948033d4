"""The check of a release can fail."""

from __future__ import annotations

import zipfile
from pathlib import Path

import payments_core
from lab.release.__main__ import PACKAGES, contents_complaints, version_complaints

RIGHT = ["payments_core-1.0.dist-info/licenses/LICENSE", *(f"{package}/py.typed" for package in PACKAGES)]


def wheel(folder: Path, names: list[str]) -> Path:
    path = folder / "payments_core-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return path


def test_a_wheel_of_the_packages_alone_is_right(tmp_path: Path) -> None:
    assert contents_complaints([wheel(tmp_path, RIGHT)]) == []


def test_what_is_too_much_or_missing_is_named(tmp_path: Path) -> None:
    held = [*RIGHT[:-1], "tests/conftest.py", "payments_core/__pycache__/cli.pyc"]
    complaints = "\n".join(contents_complaints([wheel(tmp_path, held)]))
    assert "holds tests" in complaints
    assert f"lacks {RIGHT[-1]}" in complaints
    assert "holds payments_core/__pycache__/cli.pyc" in complaints


def test_another_version_is_named(tmp_path: Path) -> None:
    path = wheel(tmp_path, RIGHT)
    assert version_complaints([path]) == [f"{path.name} is not {payments_core.__version__}"]


def test_the_changelog_has_the_version(tmp_path: Path) -> None:
    named = tmp_path / f"payments_core-{payments_core.__version__}.tar.gz"
    assert version_complaints([named]) == []
