"""``payments-core`` as it is, but for a signal at which it tells how many tasks it has.

``PROTOCOL_LIMITS`` in the environment shortens time limits of connections, as in ``_HEAD_LIMIT_S=1``, and
``FILES`` says how many files it may have open.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from types import FrameType

from payments_core.entrypoints import serving
from payments_core.entrypoints.cli import main
from payments_core.entrypoints.http import protocol


def tell(_signal: int, _frame: FrameType | None) -> None:
    try:
        names = sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    except RuntimeError:  # between two iterations of the loop
        names = ["?"]
    sys.stderr.write(f"tasks {len(names)}: {', '.join(names)}\n")


if __name__ == "__main__":
    for limit in os.environ.get("PROTOCOL_LIMITS", "").split():
        name, _, seconds = limit.partition("=")
        (module,) = (each for each in (protocol, serving) if hasattr(each, name))
        setattr(module, name, type(getattr(module, name))(seconds))
    if "FILES" in os.environ:
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(os.environ["FILES"]),) * 2)
    signal.signal(signal.SIGUSR1, tell)
    main()
