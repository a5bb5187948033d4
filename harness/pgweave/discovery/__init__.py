"""Discovery: which commands can disturb each other, foretold from one run of each by itself.

``trace`` is what one command did, step by step. ``anomalies`` interleaves traces as far as their locks let
them, and says whether an order can come about that no serial one explains. ``candidates`` are the pairs and
triples that are worth exploring, and why; ``telling`` says it to people.

That anomalies can be predicted from one trace is the idea of Warszawski and Bailis, "ACIDRain:
Concurrency-Related Attacks on Database-Backed Web Applications", SIGMOD 2017.
"""
