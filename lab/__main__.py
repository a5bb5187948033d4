"""``python -m lab`` checks this repository."""

from __future__ import annotations

from typing import NoReturn

from pgweave import outermost


def main() -> NoReturn:
    """Run the command line."""
    outermost.run("lab", _command, "`make sync` installs it.")


def _command() -> None:
    # In here, since what cannot be imported ends without a verdict too.
    from lab.cli import command  # noqa: PLC0415

    command()


if __name__ == "__main__":
    main()
