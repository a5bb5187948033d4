"""The composition of `compose.yml`, as a project of its own beside whatever else runs here."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx

from lab.containers.image import IMAGE, pip_secrets
from lab.steps import Shell, UnableError, ViolationError
from pgweave.loopback import free_port

PROJECT = "payments-core-test"
_BUILD_LIMIT_S = 1800.0
_STARTED = "SELECT pg_postmaster_start_time()"
SERVES_AGAIN_LIMIT_S = 60.0


class Composition:
    """The containers, and what can be done with them.

    Attributes:
        url: where the service is published.
    """

    def __init__(self, root: Path, folder: Path, shell: Shell, bridge: str | None = None) -> None:
        self._shell = shell
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        # Of nobody's .env, and on a port of its own.
        self._compose = (
            *("docker", "compose", "--project-name", PROJECT, "--project-directory", str(root)),
            *("--env-file", os.devnull),
            *(
                "--file",
                str(root / "compose.yml"),
                "--file",
                str(_how_it_is_done_here(folder, shell, bridge)),
            ),
        )
        shell.environment["PAYMENTS_PORT"] = str(port)

    def build(self) -> None:
        """Build our image.

        Raises:
            UnableError: it cannot be built here.
        """
        self._shell.do(*self._compose, "build", limit_s=_BUILD_LIMIT_S)

    def up(self) -> None:
        """Start it, and wait until it is healthy.

        Raises:
            ViolationError: it does not come to be healthy.
        """
        try:
            self._shell.do(*self._compose, "up", "--no-build", "--detach", "--wait", limit_s=600)
        except UnableError as error:
            raise ViolationError(f"{error}\n{self.logs()}") from error

    def down(self) -> None:
        """Stop it, and remove it with its data."""
        self._shell.do(*self._compose, "down", "--volumes", "--remove-orphans", "--timeout", "30", limit_s=90)

    def what_is_left(self) -> list[str]:
        """Containers, volumes and networks that are there of it."""
        of_it = ("--filter", f"label=com.docker.compose.project={PROJECT}", "--quiet")
        return [
            line
            for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
            for line in self._shell.do("docker", *kind, *of_it).splitlines()
        ]

    def logs(self) -> str:
        """What the containers printed last."""
        return self._shell.ask(*self._compose, "logs", "--tail", "30").stdout

    def is_refused_elsewhere(self) -> str:
        """What is said where the demonstration's passwords are to serve other machines.

        Raises:
            ViolationError: they may.
        """
        words = ("run", "--rm", "--no-deps", "-e", "API_ADDRESS=0.0.0.0", "login")
        ended = self._shell.ask(*self._compose, *words)
        if ended.returncode != 2:
            raise ViolationError(f"login ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
        return ended.stderr.strip().splitlines()[-1]

    def status_for_neighbours(self, path: str) -> str:
        """The status that a container beside the service gets, which calls it by its name."""
        ask = (
            f"from urllib.request import urlopen; print(urlopen('http://api:8000{path}', timeout=10).status)"
        )
        words = ("run", "--rm", "--no-deps", "--entrypoint", "python", "login", "-c", ask)
        return self._shell.do(*self._compose, *words).strip()

    def rows(self, query: str) -> str:
        """What the database's owner reads, without the service."""
        words = ("exec", "-T", "postgres", "psql", "--username=payments", "--dbname=payments", "-Atc", query)
        return self._shell.do(*self._compose, *words).strip()

    def kill_service(self) -> None:
        """End the service's process as a crash does: from outside its container, with SIGKILL."""
        container = self._shell.do(*self._compose, "ps", "--quiet", "api").strip()
        process = self._shell.do("docker", "inspect", "--format", "{{.State.Pid}}", container).strip()
        kill = ("run", "--rm", "--pid=host", "--user=0", "--entrypoint", "python", IMAGE)
        self._shell.do("docker", *kill, "-c", f"import os; os.kill({process}, 9)")

    def restarts(self) -> int:
        """How often the engine has started the service again."""
        container = self._shell.do(*self._compose, "ps", "--all", "--quiet", "api").strip()
        return int(self._shell.do("docker", "inspect", "--format", "{{.RestartCount}}", container))

    def restart_database(self) -> None:
        """Stop PostgreSQL in order, and start it again.

        Raises:
            ViolationError: it is the server that it was.
        """
        before = self.rows(_STARTED)
        self._shell.do(*self._compose, "restart", "postgres")
        self.await_ready()
        if self.rows(_STARTED) == before:
            raise ViolationError("PostgreSQL was not restarted")

    def await_ready(self) -> float:
        """Wait until the service says that it is ready; how many seconds that took.

        Raises:
            ViolationError: it does not in a minute.
        """
        started = time.monotonic()
        while time.monotonic() - started < SERVES_AGAIN_LIMIT_S:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200:
                    return time.monotonic() - started
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise ViolationError(f"the service is not ready after {SERVES_AGAIN_LIMIT_S:g} s:\n{self.logs()}")


def _how_it_is_done_here(folder: Path, shell: Shell, bridge: str | None) -> Path:
    """A file beside compose.yml: where a build finds packages, and what the network is called."""
    secrets = pip_secrets(shell, folder)
    added: dict[str, Any] = {
        "services": {"migrate": {"build": {"network": "host", "secrets": [*secrets]}}},
        "secrets": {name: {"file": str(file)} for name, file in secrets.items()},
    }
    if bridge is not None:
        added["networks"] = {"default": {"driver_opts": {"com.docker.network.bridge.name": bridge}}}
    path = folder / "compose-here.json"
    path.write_text(json.dumps(added))
    return path
