"""Exits with 0 if the service in this container is alive; the image has no curl."""

import os
import sys
from http.client import HTTPConnection, HTTPException

PATH = "/healthz"
LIMIT_S = 2.0


def main() -> int:
    """Ask once: 0 for a 200, 1 for any other answer or none."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PAYMENTS_PORT", "8000")), timeout=LIMIT_S)
    try:
        connection.request("GET", PATH)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        print(f"{PATH} does not answer: {error}")  # noqa: T201 - kept by the container engine
        return 1
    print(f"{PATH} answered {status}")  # noqa: T201
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
