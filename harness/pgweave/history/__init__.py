"""Histories: what clients invoked and were answered, and whether a sequential specification explains it.

``operations`` is a history and its file, ``formats`` the files of others, ``recorder`` writes one as it
happens. ``spec`` is what a specification is, and ``specs`` has some. ``linearizability`` decides, by ``plan``
and ``search``; ``explain`` and ``attempt`` say how far a history can be explained; ``lanes`` places
operations side by side.
"""
