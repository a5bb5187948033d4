"""What a request is for: the target in its first line (RFC 9112, section 3.2)."""

import re

_TARGET = re.compile(
    rb"(?:https?://(?P<authority>[^/?#]+))?(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?|\*", re.IGNORECASE
)


def read_target(target: bytes) -> tuple[bytes | None, bytes]:
    """The host that a target names, if it does, and the path and query that are meant.

    Raises:
        ValueError: it is none that is asked of an origin server, or has a fragment.
    """
    if target.startswith(b"/") and b"#" not in target:
        return None, target
    found = _TARGET.fullmatch(target)
    if found is None:
        raise ValueError("the target is no path, and no URL of http or https")
    if found["authority"] is None:
        return None, target
    return found["authority"], (found["path"] or b"/") + (found["query"] or b"")


def set_host(fields: list[tuple[bytes, bytes]], host: bytes, version: str) -> None:
    """Put a host in the place of the one in the fields; only HTTP/1.0 may have left it out."""
    is_missing = all(name != b"host" for name, _ in fields)
    fields[:] = [(name, host if name == b"host" else said) for name, said in fields]
    if is_missing and version == "1.0":
        fields.append((b"host", host))
