"""Adapters: what the application asks of the world outside."""
