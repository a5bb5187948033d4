"""Races: concurrent clients of anything over PostgreSQL, run in every order that matters, and judged.

A ``domain`` says what is raced for: it makes the world of one schedule, and judges what was heard and seen.
``race`` runs a schedule of it; ``exploration`` runs all, up to the first that is wrong; ``single`` runs one
schedule that is given or drawn.
"""
