"""Interleavings: what concurrent processes do to shared data, step by step, and which orders differ.

``footprint`` says what a step touches and when two steps depend on each other; ``execution`` what is
scheduled and what a run was. Both are generic: the steps may be SQL statements, port calls, or anything else.
"""
