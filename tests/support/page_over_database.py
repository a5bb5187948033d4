"""``payments-core`` whose ``serve`` has the page over a given database, too."""

from payments_core.entrypoints import cli, serving

if __name__ == "__main__":
    serving.FACTORY = "payments_demo.app:with_page"
    cli.main()
