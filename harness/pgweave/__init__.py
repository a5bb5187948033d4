"""The engine: runs concurrent programs that use PostgreSQL in every order, and judges their answers.

It knows nothing of what the programs are for. ``gate`` holds their statements, ``sql`` says what a statement
touches, ``scheduler`` performs one order, ``interleavings`` chooses the orders, ``history`` judges answers,
``timeline`` draws, and ``clock`` gives a database a clock that can be set.
"""
