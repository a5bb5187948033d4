"""Settings, from the environment."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from payments_core.domain.values import MAX_STORED_REFUSALS
from payments_core.infrastructure.postgres.dsn import DsnError, require_dsn

_ROLE = "^([A-Za-z_][A-Za-z0-9_]*)?$"


class Settings(BaseSettings):
    """The settings of the service. Each is an environment variable of the same name.

    Attributes:
        database_url: PostgreSQL to use (``DATABASE_URL``); without it ``serve`` starts an embedded one.
        database_role: role that every session takes on; empty to stay who connected.
        pooler_mode: for how long a pooler that ``database_url`` names keeps a session for a connection.
        isolation: of the transactions; ``serializable`` for databases that lock otherwise than PostgreSQL.
        statement_timeout_ms: after this long PostgreSQL ends a statement, its wait for a lock included.
        lock_timeout_ms: after this long PostgreSQL ends the wait for a lock.
        idle_in_transaction_timeout_ms: after this long PostgreSQL ends a session that idles in a transaction.
        transaction_timeout_ms: after this long PostgreSQL 17 and newer end a transaction and its session.
        host: address to listen on.
        allowed_hosts: names that ``Host`` may have where there are no tokens, separated by commas; ``host``,
            ``localhost`` and loopback addresses always may.
        port: TCP port to listen on, 0 for a free one.
        tokens: SHA-256 hashes of the bearer tokens, in hex, separated by commas; before each, its scopes.
        tokens_file: a file of the same, one a line; after ``#`` stands a comment.
        allow_unauthenticated: serve every machine without tokens. Dangerous: whoever reaches it may capture.
        pool_min: connections kept open per process.
        pool_max: connections per process at most.
        pool_timeout_s: how long a request waits for a connection, in seconds.
        request_timeout_s: how long a request may take until it is given up, in seconds.
        max_requests: requests that a process works on or keeps waiting; those beyond are refused.
        max_connections: connections from clients that a process keeps open; as few fewer as its files need.
        max_stored_refusals: refused captures of one payment that are stored; those beyond are answered 429.
        drain_s: how long a process that was told to end still serves, not ready any more, in seconds.
        sweep_interval_s: how often a process expires payments, in seconds; 0 for never.
        sweep_batch: payments that the sweeper locks at a time.
        demo: serve a throw-away database whose clock the page can move on; loopback only.
        tracing: send OpenTelemetry traces, where the ``OTEL_*`` variables say.
        log_level: least level that is logged.
    """

    model_config = SettingsConfigDict(
        env_prefix="PAYMENTS_",
        populate_by_name=True,
        hide_input_in_errors=True,  # of which the database's password is a part
    )

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL", min_length=1, repr=False)
    database_role: str = Field(default="payments_app", pattern=_ROLE)
    pooler_mode: Literal["session", "transaction"] = "session"
    isolation: Literal["read committed", "serializable"] = "read committed"
    statement_timeout_ms: int = Field(default=8_000, ge=1)
    lock_timeout_ms: int = Field(default=5_000, ge=1)
    idle_in_transaction_timeout_ms: int = Field(default=10_000, ge=1)
    transaction_timeout_ms: int = Field(default=15_000, ge=1)
    host: str = "127.0.0.1"
    allowed_hosts: str = ""
    port: int = Field(default=8000, ge=0, le=65535)
    tokens: str = ""
    tokens_file: Path | None = None
    allow_unauthenticated: bool = False
    pool_min: int = Field(default=2, ge=1)
    pool_max: int = Field(default=10, ge=1)
    pool_timeout_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    request_timeout_s: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    max_requests: int = Field(default=256, ge=1)
    max_connections: int = Field(default=1_000, ge=1)
    max_stored_refusals: int = Field(default=MAX_STORED_REFUSALS, ge=1)
    drain_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    sweep_interval_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    sweep_batch: int = Field(default=100, ge=1)
    demo: bool = False
    tracing: bool = False
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator("database_url")
    @classmethod
    def _is_a_connection_string(cls, given: str | None) -> str | None:
        if given is not None:
            try:
                require_dsn(given)
            except DsnError as error:
                raise PydanticCustomError("dsn", "{why}", {"why": str(error)}) from None
        return given

    @model_validator(mode="after")
    def _lock_wait_ends_first(self) -> "Settings":
        """The lock timeout comes first: its answer says why, and the deadline's cannot."""
        if self.lock_timeout_ms >= self.request_timeout_s * 1000:
            raise ValueError(
                f"PAYMENTS_LOCK_TIMEOUT_MS ({self.lock_timeout_ms}) must be less than "
                f"PAYMENTS_REQUEST_TIMEOUT_S ({self.request_timeout_s:g})"
            )
        return self
