"""HTTP on loopback: by no proxy of the environment's, and without reading authorities, which takes 30 ms."""

from __future__ import annotations

from typing import TypedDict


class _Direct(TypedDict):
    verify: bool
    trust_env: bool


DIRECT: _Direct = {"verify": False, "trust_env": False}
"""For httpx, as keywords."""
