"""Mutants: the service with a bug of real services built in, and which technique of the harness finds it."""
