"""The payment service: what runs."""
