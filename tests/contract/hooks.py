"""What JSON Schema cannot say of the service's numbers, said to schemathesis.

To JSON Schema 1.0 is an integer. The service refuses it: who writes a fraction may not mean cents.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def map_body(_context: Any, body: Any) -> Any:
    """Write whole numbers without a fraction."""
    return whole(body)


def whole(value: Any) -> Any:
    """The same value, its whole numbers as integers."""
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
