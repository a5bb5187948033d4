"""The heads of requests as they were sent: the parser does not tell all that stands in their first lines."""

from collections.abc import Iterable, Iterator

_END = b"\r\n\r\n"


class Heads:
    """The received bytes of one connection, cut where a head may end.

    A head has an empty line at its end, and nowhere else. So the last that has come lies between two cuts,
    whatever body came before it in the same part.

    Args:
        longest: bytes of a head that are kept; one that is longer is refused.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self.last = b""

    def parts(self, data: bytes) -> Iterator[bytes]:
        """The same, in parts that each end where a head may; `last` is what has come since the cut before."""
        known = len(self.last)
        *ended, rest = (self.last + data).split(_END)
        for self.last in ended:
            yield (self.last + _END)[known:]
            known = 0
        self.last = rest[-self._longest :]
        if len(rest) > known:
            yield rest[known:]

    def begins_with(self, line: bytes, fields: int) -> bool:
        """Whether the head that has just ended is this line, and so many fields of a line each."""
        return self.last.rsplit(b"\r\n", fields)[0].endswith(line)

    def replace(self, line: bytes, fields: Iterable[tuple[bytes, bytes]], without: bytes) -> bytes:
        """Let the head that has just ended be this line and these fields, without those of a name."""
        kept = [b"%b: %b" % field for field in fields if field[0] != without]
        self.last = b"\r\n".join([line, *kept])
        return self.last + _END
