"""What a SQL statement touches, from its text, its bound values and the database's catalog, before it runs.

``catalog`` is what must be known about the database, read once. ``footprints`` says what one statement
touches, and ``transactions`` what a connection's next statement does in the transaction that it is in, its
end included. The other modules take a statement apart: ``tokens`` reads it as PostgreSQL's scanner does,
``functions`` follows the functions it calls, ``queries``, ``writes`` and ``triggers`` find the rows, and
``values`` decides which values of columns may be compared.

What is not understood depends on everything, and says why.
"""
