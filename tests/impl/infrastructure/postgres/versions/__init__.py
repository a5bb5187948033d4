"""The statements with which each older version of the service wrote, as they were in its statements.py.

A module is named after the last migration that the version knew: the database that it left has that schema.
"""
