"""A program that has imported the service, and becomes `payments-core` as often as it is asked to.

Each process of the service is a copy of this one (fork): it has its own arguments, environment, output and
exit code, and need not import anything. Run as a file, so that nothing of the harness is imported.

It reads a line of JSON for each: `number`, `arguments`, `variables`, and the files `output` and `errors`. It
writes one with `number` and `pid` when a process has begun, and with `code` as well when it has ended. Once
nobody writes to it any more it kills those that run, and ends.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import runpy
import selectors
import signal
import sys
import time
from importlib import import_module
from typing import Any

_SERVICE = "payments_core"
_IMPORTED = (f"{_SERVICE}.entrypoints.commands", f"{_SERVICE}.entrypoints.cli", "uvicorn.loops.uvloop")
_READ = 1 << 16
NOHUP = "NOHUP"
"""The variable with which a process ignores SIGHUP from its beginning on, as behind nohup."""
FILES = "ULIMIT_N"
"""The variable that says how many files a process may have open."""


def main() -> None:
    """Fork for each line of standard input, until it ends. Returns in each process that was forked, too."""
    for each in _IMPORTED:
        import_module(each)
    gc.freeze()
    told = os.dup(1)
    running: dict[int, tuple[int, int]] = {}
    waiting = selectors.DefaultSelector()
    waiting.register(0, selectors.EVENT_READ)
    begun = b""
    while True:
        for key, _ in waiting.select():
            if key.fd != 0:
                waiting.unregister(key.fd)
                number, pid = running.pop(key.fd)
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(told, number=number, pid=pid, code=code)
                continue
            read = os.read(0, _READ)
            if not read:
                for _, pid in running.values():
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, begun = (begun + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    waiting.close()
                    for descriptor in (told, *running):
                        os.close(descriptor)
                    _become(asked)
                    return
                descriptor = os.pidfd_open(pid)
                running[descriptor] = asked["number"], pid
                waiting.register(descriptor, selectors.EVENT_READ)
                _tell(told, number=asked["number"], pid=pid)


def _tell(told: int, **what: int) -> None:
    os.write(told, json.dumps(what).encode() + b"\n")


def _become(asked: dict[str, Any]) -> None:
    """Be the service, as if it had been started so."""
    for file, descriptor in ((os.devnull, 0), (asked["output"], 1), (asked["errors"], 2)):
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever this process was started with
    signal.signal(signal.SIGHUP, signal.SIG_IGN if NOHUP in asked["variables"] else signal.SIG_DFL)
    if FILES in asked["variables"]:
        files = int(asked["variables"][FILES])
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.environ.clear()
    os.environ.update(asked["variables"])
    time.tzset()
    sys.argv[1:] = asked["arguments"]
    runpy.run_module(_SERVICE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
