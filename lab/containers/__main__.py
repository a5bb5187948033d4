"""The containers as they are run: built, brought up, raced, examined, hurt, and taken down.

    make test-containers

Exit codes: 0 all of it holds; 1 something does not; 2 this machine cannot tell, and the last line says why.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer
import yaml  # type: ignore[import-untyped]

from lab.containers.bases import Bases
from lab.containers.composition import Composition
from lab.containers.engine import engine
from lab.containers.hurting import hurt_under_load
from lab.containers.image import IMAGE, look_into
from lab.containers.plugins import provide_plugins
from lab.steps import Shell, Steps, UnableError, UndecidedError, ViolationError
from pgweave.verdict import EXIT_CODES
from tests.support import lines_to_try

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "containers"
_CAPTURED_TWICE = (
    "SELECT count(*) FROM (SELECT FROM capture_attempts WHERE outcome = 'captured'"
    " GROUP BY payment_id HAVING count(*) > 1) AS twice"
)
_LOGINS = (
    "SELECT DISTINCT usename, rolsuper, EXISTS (SELECT FROM pg_class WHERE relowner = usesysid)"
    " FROM pg_stat_activity JOIN pg_roles ON pg_roles.oid = usesysid"
    " WHERE datname = 'payments' AND client_addr IS NOT NULL"
)
"""By TCP: the owner who asks comes by the socket."""
_CONFORMANCE_LIMIT_S = 1800.0


def main() -> None:
    """Try the containers, and end with the exit code."""
    shell, steps = Shell(FOLDER / "log"), Steps()
    signal.signal(signal.SIGTERM, _end)
    try:
        with ExitStack() as stack:
            with steps.step("Docker's engine") as told:
                used = stack.enter_context(engine(shell))
                told.append(used.name)
            bases = Bases(FOLDER, shell)
            for image in base_images():
                with steps.step(f"base image {image}") as told:
                    told.append(bases.provide(image))
            provide_plugins(FOLDER / "docker", bases, shell, steps)
            containers = Composition(ROOT, FOLDER, shell, used.bridge)
            with steps.step("docker compose build"):
                containers.build()
            look_into(shell, steps)
            with up(containers, steps):
                examine(containers, shell, steps)
    except UnableError as error:
        typer.echo(f"containers: not tried: {error}", err=True)
        sys.exit(2)
    except (ViolationError, AssertionError) as error:
        typer.echo(f"containers: wrong: {error}", err=True)
        sys.exit(1)
    typer.echo("containers: everything holds")


def _end(_signal: int, _frame: object) -> None:
    """Leave every block, so that each takes down what it has started; nothing interrupts that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    typer.echo("\ncontainers: not tried: SIGTERM came; taking down what was started", err=True)
    sys.exit(2)


def base_images() -> list[str]:
    """The images that `docker/Dockerfile` and `compose.yml` name, but for ours."""
    named = set(re.findall(r"^FROM (\S+)", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE))
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"].values()
    return sorted(named | {each["image"] for each in services} - {IMAGE})


@contextmanager
def up(containers: Composition, steps: Steps) -> Iterator[None]:
    """The composition, healthy; taken down at the end, whatever happened.

    Raises:
        ViolationError: it does not come up, or leaves something.
    """
    found: BaseException | None = None
    try:
        with steps.step("docker compose up") as told:
            containers.up()
            told.append(f"healthy at {containers.url}")
        yield
    except UndecidedError:
        raise
    except UnableError as error:  # that it can be tried has been seen
        found = ViolationError(str(error))
        raise found from error
    except BaseException as error:
        found = error
        raise
    finally:
        try:
            with steps.step("docker compose down"):
                containers.down()
        except UnableError:
            if not isinstance(found, ViolationError | AssertionError):  # what was found is told
                raise
    if left := containers.what_is_left():
        raise ViolationError(f"docker compose down leaves {', '.join(left)}")


def examine(containers: Composition, shell: Shell, steps: Steps) -> None:
    """Try what runs: as a newcomer would, as conformance does, and while it is hurt.

    Raises:
        ViolationError: something does not hold.
    """
    with steps.step("the page's curl lines: ten captures race, one wins"):
        if wrong := lines_to_try.complaint(lines_to_try.run(containers.url)):
            raise ViolationError(wrong)
    with steps.step("the demonstration's passwords, beyond loopback") as told:
        told.append(containers.is_refused_elsewhere())
    with steps.step("a container beside the service, which calls it api") as told:
        told.append(containers.status_for_neighbours("/payments"))
        if told != ["200"]:
            raise ViolationError(f"the answer is {told[0]}")
    with steps.step("the service's sessions, as the database sees them") as told:
        logins = containers.rows(_LOGINS)
        if logins != "payments_api|f|f":
            raise ViolationError(f"not of payments_api alone, or a superuser, or an owner: {logins}")
        told.append("of payments_api, no superuser, which owns nothing")
    with steps.step("conformance, levels 1 to 3") as told:
        told.append(conformance(containers.url, shell))
    with steps.step("kill -9 of the service under load") as told:
        seen = hurt_under_load(containers.url, lambda: kill(containers), FOLDER / "kill.jsonl")
        told.append(str(seen))
    with steps.step("restart of PostgreSQL under load") as told:
        seen = hurt_under_load(containers.url, lambda: restart(containers), FOLDER / "restart.jsonl")
        told.append(str(seen))
    with steps.step("the rows, read by the database's owner") as told:
        twice, captured = (
            containers.rows(_CAPTURED_TWICE),
            containers.rows("SELECT count(*) FROM payments WHERE state = 'captured'"),
        )
        told.append(f"{captured} payments captured, {twice} of them twice")
        if twice != "0" or captured == "0":
            raise ViolationError(told[-1])


def conformance(url: str, shell: Shell) -> str:
    """Examine the service at a URL, levels 1 to 3; what the last line says.

    Raises:
        ViolationError: a level does not hold.
        UndecidedError: there is no verdict.
    """
    words = ("-m", "payments_verify", "conformance", "--url", url, "--quick", "--level", "3")
    ended = shell.ask(
        *(sys.executable, *words, "--output", FOLDER / "conformance"), limit_s=_CONFORMANCE_LIMIT_S
    )
    if ended.returncode != 0:
        told = f"conformance ended with {ended.returncode}\n{ended.stdout}{ended.stderr}"
        raise (ViolationError if ended.returncode == EXIT_CODES["violated"] else UndecidedError)(told)
    return ended.stdout.strip().splitlines()[-1]


def kill(containers: Composition) -> None:
    """Kill the service; it has to be started again, and to serve.

    Raises:
        ViolationError: nobody starts it again.
    """
    containers.kill_service()
    containers.await_ready()
    if containers.restarts() != 1:
        raise ViolationError(f"the service was started again {containers.restarts()} times, not once")


def restart(containers: Composition) -> None:
    """Restart the database; the service has to serve again by itself.

    Raises:
        ViolationError: it does not, or was restarted too.
    """
    containers.restart_database()
    if containers.restarts() != 1:
        raise ViolationError("a restart of the database ended the service")


if __name__ == "__main__":
    main()
