"""Connection strings that people give: what is refused without being repeated. The service's own rule."""

from payments_core.infrastructure.postgres.dsn import DsnError, require_dsn

__all__ = ["DsnError", "require_dsn"]
