"""Specifications of objects that many services have: registers, and a store of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pgweave.history.spec import Spec
from pgweave.history.specs.cas_register import CasRegister, EtcdRegister
from pgweave.history.specs.kv import KeyValue

SPECS: Mapping[str, Callable[[], Spec[Any]]] = {
    each.name: each for each in (CasRegister, EtcdRegister, KeyValue)
}
"""What makes each of them, by its name."""
