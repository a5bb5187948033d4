"""The stack that a user would pick instead: FastAPI, SQLAlchemy 2 and asyncpg, over the same schema.

Written as its documentation shows it, by somebody who knows the rules: one session and one transaction for
each request, the row locked first, the clock read after that, the answer stored under its key in the same
transaction. It imports nothing of the service, and has none of its tokens, limits, deadlines, metrics,
request ids and logs.
"""
