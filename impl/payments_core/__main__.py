"""``python -m payments_core`` is the command ``payments-core``."""

from typing import NoReturn

from payments_core.entrypoints.ends import end_uninstalled


def main() -> NoReturn:
    """Run the command line; end with 2 where only the client is installed."""
    try:
        from payments_core.entrypoints import cli  # noqa: PLC0415 - imports what the extra brings
    except ModuleNotFoundError as error:
        end_uninstalled(error)
    cli.main()


if __name__ == "__main__":
    main()
