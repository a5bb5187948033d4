"""The payment service: what runs."""

__version__ = "0.1.0"
