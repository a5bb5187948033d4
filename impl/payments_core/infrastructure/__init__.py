"""Adapters: PostgreSQL, in-memory, clock, embedded database."""
