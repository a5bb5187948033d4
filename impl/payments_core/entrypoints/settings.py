"""Settings, from the environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What the service can be told. Each setting is an environment variable of the same name.

    Attributes:
        database_url: PostgreSQL to use (``DATABASE_URL``); without it ``serve`` starts an embedded one.
        host: address to listen on (``PAYMENTS_HOST``).
        port: TCP port to listen on, 0 for a free one (``PAYMENTS_PORT``).
        pool_min: connections kept open per process (``PAYMENTS_POOL_MIN``).
        pool_max: connections per process at most (``PAYMENTS_POOL_MAX``).
        pool_timeout_s: how long a request waits for a connection, in seconds (``PAYMENTS_POOL_TIMEOUT_S``).
        log_level: least level that is logged (``PAYMENTS_LOG_LEVEL``).
    """

    model_config = SettingsConfigDict(env_prefix="PAYMENTS_", populate_by_name=True)

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL", min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    pool_min: int = Field(default=2, ge=1)
    pool_max: int = Field(default=10, ge=1)
    pool_timeout_s: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
