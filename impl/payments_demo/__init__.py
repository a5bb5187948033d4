"""The service as it is tried out: with a page to race captures on, and on a PostgreSQL of its own.

``payments-core serve`` finds this package by its entry points where it is given no database. It composes the
service from outside; the service knows nothing of it.
"""
