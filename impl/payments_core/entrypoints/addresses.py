"""Which addresses are this machine's alone."""

import ipaddress
from functools import lru_cache


@lru_cache(maxsize=1024)
def is_address(text: str) -> bool:
    """Whether this is an IP address, and no name."""
    return _address(text) is not None


@lru_cache(maxsize=1024)
def is_loopback(text: str) -> bool:
    """Whether nothing but this machine is meant: by ``localhost``, or by an address, IPv4 in IPv6 included.

    Other names are none, whatever they lead to: who answers for a name can change his mind.
    """
    if text.lower() == "localhost":
        return True
    address = _address(text)
    if address is None:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
