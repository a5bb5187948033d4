"""Connection strings with a password that must not be seen again."""

from __future__ import annotations

MARKER = "hunter2secret"
UNDERSTOOD = [
    f"postgresql://u:{MARKER}@127.0.0.1:1/payments",
    f"postgresql://u:a:?#[{MARKER}@127.0.0.1:1/payments",
    f"host=127.0.0.1 port=1 user=u password='a {MARKER}'",
]
"""They lead to a port on which nobody listens."""
CONFUSED = [
    MARKER,
    f"postgresql://u:a/{MARKER}@127.0.0.1:1/payments",
    f"postgresql://u:1/{MARKER}@127.0.0.1:1/payments",
    f"postgresql://u:a@{MARKER}@127.0.0.1:1/payments",
    f"postgresql://u:a?@{MARKER}@127.0.0.1:1/payments",
    f"postgresql://u:%zz{MARKER}@127.0.0.1:1/payments",
    f"postgresql://127.0.0.1:{MARKER}/payments",
    f"postgresql://u@127.0.0.1:1/payments?passwort={MARKER}",
    f"postgresql://[::1:{MARKER}",
    f"postgresql+asyncpg://u:{MARKER}@127.0.0.1/payments",
    f"postgresql+asyncpg://u:{MARKER}@127.0.0.1/payments?ssl=require",
    f"host=127.0.0.1 port=1 password=a {MARKER} user=u",
    f"host=127.0.0.1 port=1 password='{MARKER}",
]
"""PostgreSQL's library refuses them, or takes a part of the password for something else."""
