"""``python -m payments_core`` is the command ``payments-core``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; end with 2 where only the client is installed."""
    try:
        from payments_core.entrypoints import cli  # noqa: PLC0415 - imports what the extra brings
    except ModuleNotFoundError as error:
        if str(error.name).startswith("payments_core"):
            raise
        sys.stderr.write(
            f"payments-core: {error.name} is not installed. To serve: pip install 'payments-core[service]'\n"
        )
        sys.exit(2)
    cli.main()


if __name__ == "__main__":
    main()
