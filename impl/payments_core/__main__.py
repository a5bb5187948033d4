"""``python -m payments_core`` is the command ``payments-core``."""

from payments_core.entrypoints.cli import main

if __name__ == "__main__":
    main()
