"""Values of the variables that HTTP clients look at, each of which misleads or breaks one that does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def listening_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that answers nothing; its URL, and what it was sent."""
    heard: list[bytes] = []
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):  # closed
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    connection.settimeout(1.0)
                    with suppress(OSError):
                        heard.append(connection.recv(65_536))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


def variables(name: str, proxy: str, folder: Path) -> dict[str, str]:
    """One hostile environment, by its name in `NAMES`.

    Args:
        name: which.
        proxy: the URL of a proxy.
        folder: for files.
    """
    absent = str(folder / "absent" / "file")
    netrc = folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login thief password secret\n")
    proxies = {each: proxy for name in ("HTTP_PROXY", "HTTPS_PROXY") for each in (name, name.lower())}
    return {
        "a proxy": proxies,
        "a proxy for all": {"ALL_PROXY": proxy, "all_proxy": proxy},
        "a proxy of SOCKS": {"ALL_PROXY": "socks://127.0.0.1:1", "all_proxy": "socks5://127.0.0.1:1"},
        "no URL for a proxy": {"HTTP_PROXY": "http://[", "http_proxy": "\x01://:x"},
        "exceptions that are none": {**proxies, "NO_PROXY": "::1/128,[", "no_proxy": "::1/128,["},
        "certificates that are absent": {"SSL_CERT_FILE": absent, "SSL_CERT_DIR": absent},
        "a log of keys in no folder": {"SSLKEYLOGFILE": absent},
        "passwords in a file": {"NETRC": str(netrc)},
        "a file of passwords that is none": {"NETRC": str(folder)},
    }[name]


NAMES = [
    "a proxy",
    "a proxy for all",
    "a proxy of SOCKS",
    "no URL for a proxy",
    "exceptions that are none",
    "certificates that are absent",
    "a log of keys in no folder",
    "passwords in a file",
    "a file of passwords that is none",
]


def all_variables(proxy: str, folder: Path) -> dict[str, str]:
    """All of them at once."""
    return {k: v for name in NAMES for k, v in variables(name, proxy, folder).items()}
