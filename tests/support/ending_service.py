"""The charges of `examples/peers`, which end at a capture: as ``HOW`` says, after ``CAPTURES`` of them.

``HOW`` is the number of a signal, or an exit code after ``exit``. With ``ONCE``, a file, only the first does.
"""

from __future__ import annotations

import os
import signal
from itertools import count
from pathlib import Path
from typing import NoReturn

from starlette.requests import Request
from starlette.responses import Response

from tests.support.charges import load_charges, serve

charges = load_charges()

HOW, AFTER = os.environ["HOW"], int(os.environ["CAPTURES"])
GOES_ON = "ONCE" in os.environ and Path(os.environ["ONCE"]).exists()
captures, capture_in_peace = count(1), charges.capture


def end() -> NoReturn:
    print("the last words of the service", flush=True)  # noqa: T201
    if "ONCE" in os.environ:
        Path(os.environ["ONCE"]).touch()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if HOW.startswith("exit"):
        os._exit(int(HOW.removeprefix("exit")))
    os.kill(os.getpid(), int(HOW))
    raise AssertionError(HOW)


async def capture(request: Request) -> Response:
    if next(captures) == AFTER and not GOES_ON:
        end()
    answer: Response = await capture_in_peace(request)
    return answer


if __name__ == "__main__":
    route = next(each for each in charges.app.routes if each.path.endswith("/capture"))
    charges.app.routes[charges.app.routes.index(route)] = type(route)(route.path, capture, methods=["POST"])
    serve(charges.app)
