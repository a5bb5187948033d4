"""What `make bench-doors` measures: each piece between a client's bytes and the routes, with it and without.

To add a piece, give `pieces` in `around` or `below` two functions that do the same work, one without it.
"""
