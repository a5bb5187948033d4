"""Faults of the database's clock, by which payments are decided."""

from __future__ import annotations

from typing import ClassVar

from payments_verify.nemesis.fault import Fault
from payments_verify.payments.observed.observations import Observation


class ClockForward(Fault):
    """The database's clock jumps forward, and later back."""

    name = "clock forward"
    about = "the database's clock jumps forward by hours, and back again"
    side = "database"
    sign: ClassVar[int] = 1

    async def inject(self) -> None:
        """Jump."""
        hours = self.rng.randint(1, 6)
        await self._set(self.sign * hours * 3_600_000_000, back=self.sign < 0)
        self.effects = 1

    async def heal(self) -> None:
        """Jump to the right time."""
        await self._set(0, back=self.sign > 0)

    async def _set(self, offset_us: int, *, back: bool) -> None:
        """Let the clock run so far ahead of the real one; a step back stands in the history."""
        load = self.deployment.load
        process = load.observe("clock_back", {"by": abs(offset_us)}) if back and load is not None else None
        async with self.deployment.cluster.connect() as connection:
            await connection.execute(b"SELECT test_clock.flow_us(%s)", [offset_us])
        if process is not None and load is not None:
            load.observed(process, Observation("ok", {}))


class ClockBack(ClockForward):
    """The database's clock jumps back, and later forward."""

    name = "clock back"
    about = "the database's clock jumps back by hours, and forward again"
    sign = -1
