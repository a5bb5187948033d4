"""``python -m payments_verify`` is the command ``payments-verify``."""

from __future__ import annotations

from typing import NoReturn

from payments_verify.called import TO_VERIFY
from pgweave import outermost


def main() -> NoReturn:
    """Run the command line."""
    outermost.run("payments-verify", _command, TO_VERIFY)


def _command() -> None:
    # In here, since what cannot be imported ends without a verdict too.
    from payments_verify.cli import command  # noqa: PLC0415

    command()


if __name__ == "__main__":
    main()
