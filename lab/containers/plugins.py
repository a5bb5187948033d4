"""Docker's plugins for compositions and builds: those that are there, or Debian's."""

from __future__ import annotations

from pathlib import Path

from lab.containers.bases import Bases
from lab.steps import Shell, Steps

PACKAGES = {"compose": "docker-compose", "buildx": "docker-buildx"}
_WHERE = Path("usr/libexec/docker/cli-plugins")


def provide_plugins(folder: Path, bases: Bases, shell: Shell, steps: Steps) -> None:
    """Let `docker compose` and `docker buildx` run; those that are missing are unpacked into the folder.

    Raises:
        UnableError: one is missing, and cannot be had here.
    """
    with steps.step("docker compose, docker buildx") as told:
        missing = [name for name in PACKAGES if not _runs(name, shell)]
        if missing:
            told.append(f"{', '.join(missing)}: Debian's, for this run")
            _unpack(missing, folder, bases, shell)
            shell.environment["DOCKER_CONFIG"] = str(folder)
        told += [shell.do("docker", name, "version").splitlines()[0] for name in PACKAGES]


def _runs(name: str, shell: Shell) -> bool:
    return shell.ask("docker", name, "version").returncode == 0


def _unpack(missing: list[str], folder: Path, bases: Bases, shell: Shell) -> None:
    plugins = folder / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    for name in missing:
        if not (plugins / f"docker-{name}").exists():
            archive = bases.download(PACKAGES[name])
            shell.do("dpkg-deb", "--extract", archive, folder)
            (plugins / f"docker-{name}").symlink_to(folder / _WHERE / f"docker-{name}")
