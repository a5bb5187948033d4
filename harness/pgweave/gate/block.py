"""Whether a connection is inside a transaction block, and at which isolation level its blocks are."""

from __future__ import annotations

from pgweave.gate.levels import level_after


class Block:
    """The transaction block of one connection.

    Attributes:
        is_open: whether there is one.
        has_failed: whether it has failed, so that PostgreSQL refuses all but its end.
        level: the isolation level that the client has set for the connection; empty if it is the database's.
    """

    def __init__(self) -> None:
        self.is_open = False
        self.has_failed = False
        self.level = ""

    def note_sent(self, data: bytes) -> None:
        """Take in what the client sends, or began the connection with."""
        self.level = level_after(self.level, data)

    def follow_ready(self, status: bytes) -> None:
        """Take in the status that ReadyForQuery tells."""
        self.is_open = status != b"I"
        self.has_failed = status == b"E"

    def follow_tag(self, tag: str, sql: str) -> None:
        """Take in that a statement was executed: ReadyForQuery comes only at the end of a pipeline.

        Args:
            tag: how the server summed it up.
            sql: its text; empty if it is not known.
        """
        if tag in ("BEGIN", "START TRANSACTION"):
            self.is_open = True
        elif tag == "COMMIT" or (tag == "ROLLBACK" and " to " not in sql.lower()):
            self.is_open = False
