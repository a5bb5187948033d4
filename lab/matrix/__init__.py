"""The versions of Python and PostgreSQL that are supported, each tried."""
