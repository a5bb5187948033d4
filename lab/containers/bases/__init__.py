"""The images that ours are built on: pulled, or made of Debian where no registry answers.

A made one stands in for the official image under its name. It has what `docker/Dockerfile` and `compose.yml`
use of it: a `python` with pip, or a PostgreSQL whose entry point takes POSTGRES_USER, POSTGRES_PASSWORD and
POSTGRES_DB.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from lab.steps import Shell, UnableError

SUITE = "forky"
"""The release of Debian that has the Python and the PostgreSQL of our images."""
_OF_A_SUITE_UNKNOWN = "sid"
_PULL_LIMIT_S = 600.0
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_LEFT_OUT = (
    *("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/python-wheels"),
    *("var/cache/apt", "var/cache/debconf", "var/lib/apt/lists"),
)
"""Pages and caches, which official images have not either."""
_HERE = Path(__file__).parent


class Bases:
    """Makes base images, and keeps them as archives in a folder.

    Attributes:
        folder: where they are kept.
    """

    def __init__(self, folder: Path, shell: Shell) -> None:
        self.folder = folder
        self._shell = shell

    def provide(self, image: str) -> str:
        """Let the engine have an image; whether it was there, was pulled, or had to be made.

        Raises:
            UnableError: it can neither be pulled nor made here.
        """
        if self._shell.ask("docker", "image", "inspect", image).returncode == 0:
            return "there"
        if self._is_pulled(image):
            return "pulled"
        if not self._archive(image).exists():
            self._make(image)
        self._import(image)
        return f"no registry answers; a stand-in, made of Debian {SUITE}"

    def download(self, package: str) -> Path:
        """The archive of a Debian package of the suite.

        Raises:
            UnableError: it cannot be had here.
        """
        root = self._debian()
        self._update(root)
        self._within(root, "sh", "-c", f"cd /tmp && apt-get download {package}")
        found = next((root / "tmp").glob(f"{package}_*.deb"))
        return Path(shutil.move(found, self.folder / found.name))

    def _is_pulled(self, image: str) -> bool:
        try:
            return self._shell.ask("docker", "pull", "--quiet", image, limit_s=_PULL_LIMIT_S).returncode == 0
        except UnableError:
            return False

    def _archive(self, image: str) -> Path:
        return self.folder / f"{image.replace('/', '-').replace(':', '-')}.tar"

    def _folder(self, image: str) -> Path:
        return self._archive(image).with_suffix("")

    def _make(self, image: str) -> None:
        name, _, version = image.partition(":")
        make: dict[str, Callable[[Path, str], None]] = {
            "python": self._add_python,
            "postgres": self._add_postgres,
        }
        if name not in make:
            raise UnableError(f"{image} cannot be pulled, and nobody knows how to make it")
        root = self._folder(image)
        shutil.rmtree(root, ignore_errors=True)
        self._shell.do("cp", "--archive", self._debian(), root)
        make[name](root, version)
        for folder in _LEFT_OUT:
            shutil.rmtree(root / folder, ignore_errors=True)
        (root / "etc" / "resolv.conf").write_text("")
        self._shell.do("tar", "--create", f"--file={self._archive(image)}", f"--directory={root}", ".")

    def _debian(self) -> Path:
        """The files of a minimal Debian."""
        root = self.folder / SUITE
        if (root / "etc" / "debian_version").exists():
            return root
        program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if program is None or os.geteuid() != 0:
            raise UnableError("no registry answers, and base images are made by debootstrap, as root")
        scripts = Path("/usr/share/debootstrap/scripts")
        script = next(name for name in (SUITE, _OF_A_SUITE_UNKNOWN) if (scripts / name).exists())
        begun = root.with_suffix(".begun")
        shutil.rmtree(begun, ignore_errors=True)
        self._shell.do(
            program, "--variant=minbase", SUITE, begun, self._mirror(), scripts / script, limit_s=1800
        )
        begun.rename(root)
        return root

    def _mirror(self) -> str:
        """The archive that this Debian itself is installed from."""
        known = self._shell.do(
            "apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"
        )
        found = re.search(r"^Debian (\S+/debian)/?$", known, re.MULTILINE)
        if found is None:
            raise UnableError("apt-get knows no archive of Debian; run: apt-get update")
        return found[1]

    def _within(self, root: Path, *words: str) -> str:
        """Run a program in a root, with the /proc that packages ask for; what it printed."""
        own = ("unshare", "--pid", "--fork", f"--mount-proc={root / 'proc'}", "chroot", root)
        return self._shell.do(*own, *words, limit_s=1800, environment=_QUIET)

    def _update(self, root: Path) -> None:
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        # A mirror that stands still serves as well: what it has is signed.
        lenient = "Acquire::Check-Valid-Until=false"
        self._within(root, "apt-get", "update", "--option", lenient)

    def _install(self, root: Path, *packages: str) -> None:
        self._update(root)
        policy = root / "usr" / "sbin" / "policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")  # no package starts a service
        policy.chmod(0o755)
        install = ("apt-get", "install", "--yes", "--no-install-recommends", *packages)
        self._within(root, *install)
        policy.unlink()

    def _add_python(self, root: Path, version: str) -> None:
        self._install(root, "python3", "python3-venv", "ca-certificates")
        wanted = ".".join(version.split(".")[:2])
        found = self._within(root, "python3", "--version").split()[1]
        if not found.startswith(f"{wanted}."):
            raise UnableError(f"python:{version} cannot be made: Debian {SUITE} has Python {found}")
        # As in the official image, `python` has pip, and no package that Debian watches over.
        self._within(root, "python3", "-m", "venv", "/usr/local")

    def _add_postgres(self, root: Path, version: str) -> None:
        major = version.partition(".")[0]
        configuration = root / "etc" / "postgresql-common"
        configuration.mkdir(parents=True, exist_ok=True)
        (configuration / "createcluster.conf").write_text("create_main_cluster = false\n")
        self._install(root, f"postgresql-{major}")

    def _import(self, image: str) -> None:
        name, _, version = image.partition(":")
        root = f"debian-{name}:{SUITE}"
        self._shell.do("docker", "import", self._archive(image), root)
        arguments = {"ROOT": root, "MAJOR": version.partition(".")[0]}
        self._shell.do(
            *("docker", "build", "--tag", image, "--file", _HERE / f"{name}.Dockerfile"),
            *(word for argument in arguments.items() for word in ("--build-arg", "=".join(argument))),
            _HERE,
            environment={"DOCKER_BUILDKIT": "0"},  # nothing here needs more
        )
