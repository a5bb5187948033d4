"""Keys and values as a TOML file has them."""

from __future__ import annotations

import json
import re
from typing import Any


def toml_key(text: str) -> str:
    """A key: bare where it can be."""
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else json.dumps(text)


def toml_value(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value in one line."""
    match value:
        case dict():
            members = [f"{toml_key(str(name))} = {toml_value(each)}" for name, each in value.items()]
            return f"{{ {', '.join(members)} }}"
        case list():
            return f"[{', '.join(map(toml_value, value))}]"
    return json.dumps(value)
