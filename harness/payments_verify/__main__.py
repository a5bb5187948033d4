"""``python -m payments_verify`` is the command ``payments-verify``."""

from payments_verify.cli import main

if __name__ == "__main__":
    main()
