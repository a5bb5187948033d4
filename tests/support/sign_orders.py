"""Signs requests for `orders_service.py`."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping


def sign(method: str, path: str, _headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """The header field of a request's signature."""
    signed = f"{method} {path}\n".encode() + body
    return {"X-Signature": hmac.new(os.environ["SECRET"].encode(), signed, "sha256").hexdigest()}
