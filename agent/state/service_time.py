"""How long agents have run on this database, and how old a row is.

Only the monotonic clock decides: `elapsed` counts the seconds that agents have run on this file, and `age` of what this
boot wrote is measured with the monotonic clock.
"""

from __future__ import annotations

from agent.core.clock import Clock
from agent.state.database import Database


class ServiceTime:
    """The clocks that the tables stamp their rows with. `boot` names the machine's boot; empty where nobody knows."""

    def __init__(self, database: Database, clock: Clock, boot: str) -> None:
        self._database = database
        self._clock = clock
        self._started_at = clock.monotonic()
        self._before = float((database.row("SELECT value FROM meta WHERE key = 'lived'") or (0.0,))[0])
        self.boot = boot

    def wall(self) -> float:
        """Seconds since the epoch, for people only."""
        return self._clock.wall()

    def monotonic(self) -> float:
        """Seconds of this boot's monotonic clock."""
        return self._clock.monotonic()

    def elapsed(self) -> float:
        """Seconds that agents have run on this file, whatever the wall clock says."""
        return self._before + max(self._clock.monotonic() - self._started_at, 0.0)

    def save(self) -> None:
        """Write `elapsed` to the file, for the next agent. Raises UnavailableError."""
        elapsed = self.elapsed()
        with self._database.transaction():
            self._database.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('lived', ?)", (elapsed,))

    def rebooted(self, boot: str) -> bool:
        """Whether the machine was started anew since a row was written; False where nobody knows."""
        return bool(boot and self.boot) and boot != self.boot

    def age(self, boot: str, monotonic: float, wall: float) -> float:
        """Seconds since a row was written: exact within one boot; over a reboot as far as the wall clock knows, and a
        clock that was set back does not make a row younger."""
        if boot and boot == self.boot:
            return max(self._clock.monotonic() - monotonic, 0.0)
        return abs(self._clock.wall() - wall)

    def least_age(self, boot: str, monotonic: float) -> float:
        """Seconds that have gone by at least since a row was written: exact within one boot; over a reboot what the
        machine, or else this agent, has run since. No wall clock, which may have been set meanwhile."""
        if boot and boot == self.boot:
            return max(self._clock.monotonic() - monotonic, 0.0)
        if boot and self.boot:
            return max(self._clock.monotonic(), 0.0)  # Linux counts it from the boot
        return max(self._clock.monotonic() - self._started_at, 0.0)
