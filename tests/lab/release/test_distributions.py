"""What is released: each package in one distribution, and the service's has nothing of the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from itertools import chain
from pathlib import Path
from typing import Any

import payments_core
from lab.release.__main__ import ROOT, TRIED
from lab.release.distributions import Distributions
from payments_verify.practice import skeleton
from payments_verify.suite import MORE_CHECKS

VERSION = payments_core.__version__
DISTRIBUTIONS = Distributions(ROOT, VERSION)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def written(name: str, folder: Path) -> dict[str, Any]:
    DISTRIBUTIONS.write(name, folder / name)
    project: dict[str, Any] = tomllib.loads((folder / name / "pyproject.toml").read_text())["project"]
    return project


def test_every_package_that_is_checked_is_in_one_distribution_except_the_lab() -> None:
    released = [Path(each).name for one in DISTRIBUTIONS.named.values() for each in one.packages]
    assert len(released) == len(set(released))
    assert {*released, "lab"} == set(PROJECT["tool"]["importlinter"]["root_packages"])


def test_every_program_and_entry_point_is_released_except_the_labs(tmp_path: Path) -> None:
    released = [written(name, tmp_path) for name in DISTRIBUTIONS.named]
    assert sorted(chain(*(each["scripts"] for each in released))) == sorted(PROJECT["project"]["scripts"])
    for group, found in PROJECT["project"]["entry-points"].items():
        expected = [] if group == MORE_CHECKS else sorted(found)
        assert sorted(chain(*(each["entry-points"][group] for each in released))) == expected


def test_each_is_installed_and_tried() -> None:
    assert {re.sub(r"\[.*", "", each) for each in TRIED} >= DISTRIBUTIONS.named.keys() - {"payments-demo"}
    assert "payments-core[embedded]" in TRIED  # is payments-demo


def test_extras_of_the_service_are_the_others(tmp_path: Path) -> None:
    service = written("payments-core", tmp_path)
    extras = service["optional-dependencies"]
    assert service["dependencies"] == []
    assert extras["client"] == [f"payments-client=={VERSION}"]
    assert extras["verify"] == [f"payments-verify=={VERSION}"]
    assert extras["dask"] == [f"payments-verify[dask]=={VERSION}"]
    assert "starlette" in "\n".join(extras["service"])


def test_what_another_distribution_has_is_required_of_it(tmp_path: Path) -> None:
    verify = written("payments-verify", tmp_path)
    assert f"payments-core[service]=={VERSION}" in verify["dependencies"]
    assert f"pgweave[postgres]=={VERSION}" in verify["dependencies"]
    assert not any("payments-verify" in each for each in verify["optional-dependencies"]["dask"])
    exercise = tmp_path / "payments-verify" / "payments_verify" / "practice" / "skeleton"
    assert {each.name for each in skeleton()} <= {each.name for each in exercise.iterdir()}
    engine = written("pgweave", tmp_path)
    required = "\n".join([*engine["dependencies"], *chain(*engine["optional-dependencies"].values())])
    assert "payments" not in required


def test_what_the_image_is_built_from_is_the_service_alone(tmp_path: Path) -> None:
    """The build copies these, see `docker/Dockerfile`."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "impl/payments_core"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    folders = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert folders == {"payments_core", f"payments_core-{VERSION}.dist-info"}
