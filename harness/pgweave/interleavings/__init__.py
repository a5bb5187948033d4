"""Interleavings: what concurrent processes do to shared data, step by step, and which orders differ.

``footprint`` says what a step touches and when two steps depend on each other; ``execution`` what is
scheduled and what a run was. All is generic: the steps may be SQL statements, port calls, or anything else.

``explore`` runs the schedules that a strategy calls for, and ``parallel`` does it with many workers. The
strategies are ``source_dpor``, one schedule of each class; ``exhaustive``, all of them, or all with few
preemptions; ``randomized``, some; ``replay``, one. ``symmetry`` says which processes are interchangeable, so
that one class stands for others. ``happens_before`` orders the steps of a run; ``orders`` says which
operations may have ended before which began; ``minimize`` makes a failing schedule easy to read; and
``estimate`` says how many schedules there are.
"""
