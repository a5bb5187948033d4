"""The systems that this repository ships, made ready for the harness.

The only part of the harness that imports ``payments_core``.
"""

from payments_verify.systems.database import prepared_database
from payments_verify.systems.in_process import in_memory, in_process
from payments_verify.systems.server import servers

__all__ = ["in_memory", "in_process", "prepared_database", "servers"]
