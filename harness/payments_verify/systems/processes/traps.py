"""Files of the folder that a process starts in, which is its home as well. What they say is no setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

_HASH = "f" * 64
OTHERWISE: Mapping[str, str] = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    **{
        f"PAYMENTS_{name}": value
        for name, value in {
            "DATABASE_ROLE": "nobody",
            "POOLER_MODE": "transaction",
            "ISOLATION": "serializable",
            "STATEMENT_TIMEOUT_MS": "1",
            "LOCK_TIMEOUT_MS": "1",
            "IDLE_IN_TRANSACTION_TIMEOUT_MS": "1",
            "TRANSACTION_TIMEOUT_MS": "1",
            "HOST": "127.0.0.3",
            "ALLOWED_HOSTS": "example.org",
            "PORT": "1",
            "TOKENS": _HASH,
            "TOKENS_FILE": "/dev/null",
            "ALLOW_UNAUTHENTICATED": "yes",
            "POOL_MIN": "1",
            "POOL_MAX": "1",
            "POOL_TIMEOUT_S": "0.001",
            "REQUEST_TIMEOUT_S": "0.002",
            "MAX_REQUESTS": "1",
            "MAX_CONNECTIONS": "1",
            "MAX_STORED_REFUSALS": "1",
            "DRAIN_S": "3600",
            "SWEEP_INTERVAL_S": "0.01",
            "SWEEP_BATCH": "1",
            "DEMO": "yes",
            "TRACING": "yes",
            "LOG_LEVEL": "error",
        }.items()
    },
}
"""Every setting, otherwise than any process is given it, or than its default."""
_FIELDS = {name.removeprefix("PAYMENTS_").lower(): value for name, value in OTHERWISE.items()}
_TABLES = ("tool.payments-core", "tool.payments_core", "tool.pydantic-settings", "payments-core", "payments")
_PROGRAM = "payments-core"


def lay(folder: Path) -> None:
    """Write the files into a folder: those that libraries and habits know as places for settings."""
    lines = "".join(f"{name}={value}\n" for name, value in OTHERWISE.items())
    fields = "".join(f"{name} = {json.dumps(value)}\n" for name, value in _FIELDS.items())
    toml = fields + "".join(f"[{table}]\n{fields}" for table in _TABLES)
    ini = "".join(f"[{table}]\n" + fields.replace('"', "") for table in _TABLES)
    as_json = json.dumps({**_FIELDS, **OTHERWISE})
    texts = {
        **dict.fromkeys((".env", ".env.local", ".flaskenv", f"{_PROGRAM}.env", f".{_PROGRAM}"), lines),
        **{f"{name}.toml": toml for name in ("pyproject", "config", "settings", _PROGRAM, f".{_PROGRAM}")},
        **{f"{name}.ini": ini for name in ("config", "settings", _PROGRAM)},
        "setup.cfg": ini,
        **{f"{name}.json": as_json for name in ("config", "settings", _PROGRAM)},
        **{f"{name}.{end}": as_json for name in ("config", "settings", _PROGRAM) for end in ("yaml", "yml")},
        "tokens": f"{_HASH}\n",
        **{f"secrets/{name}": value for name, value in OTHERWISE.items()},
        **{f".config/{_PROGRAM}/{name}": toml for name in ("config.toml", "settings.toml")},
    }
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
