"""A case: who attacks what, what is expected, and the figures that are measured."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from benchmarks.hostile.limits import ACT_S, LOG_MB_A_MINUTE, PEAK_MB, STATE_MB
from benchmarks.hostile.stage import Stage


class Control(Enum):
    """What a person does while the attack runs, and what is compared then."""

    CANCEL = "cancel"  # the print is cancelled from the cloud; what was executed is the beginning of the file
    CANCEL_LOCALLY = "cancel-locally"  # the same at the printer: for a server that carries no command any more
    PAUSE = "pause"  # paused and resumed from the cloud, then cancelled from the cloud
    WHOLE = "whole"  # printed to its end; what was executed is the file
    OWN = "own"  # the attack submits, cancels and compares by itself: what is hostile is the job, or ends it


class Case(msgspec.Struct, frozen=True):
    """One row. `attack` runs on a thread of its own while the print goes on; it sets `stage.under_way` (or returns)
    when control may be measured, and ends when `stage.ends` is set. `long`: it may take minutes to get under way."""

    name: str
    attacker: str
    what: str
    expected: str
    attack: Callable[[Stage], None]
    control: Control = Control.CANCEL
    long: bool = False


class Figures(msgspec.Struct):
    """What was measured in a case; None where it does not apply."""

    peak_mb: float = 0.0
    cancel_s: float | None = None
    pause_s: float | None = None
    state_mb: float = 0.0
    log_mb_a_minute: float = 0.0
    lines: int = 0
    seconds: float = 0.0

    def broken(self) -> list[str]:
        """The figures beyond their limits."""
        found = []
        if self.peak_mb > PEAK_MB:
            found.append(f"peak {self.peak_mb:.1f} MB > {PEAK_MB:.0f}")
        for what, took in (("cancel", self.cancel_s), ("pause", self.pause_s)):
            if took is not None and took > ACT_S:
                found.append(f"{what} {took:.2f} s > {ACT_S:.0f}")
        if self.state_mb > STATE_MB:
            found.append(f"state {self.state_mb:.1f} MB > {STATE_MB:.0f}")
        if self.log_mb_a_minute > LOG_MB_A_MINUTE:
            found.append(f"log {self.log_mb_a_minute:.2f} MB/min > {LOG_MB_A_MINUTE:.0f}")
        return found

    def text(self) -> str:
        """One line."""
        control = [
            f"{what} {took:.2f} s"
            for what, took in (("cancel", self.cancel_s), ("pause", self.pause_s))
            if took is not None
        ]
        rest = [
            f"peak {self.peak_mb:.1f} MB",
            f"state {self.state_mb:.1f} MB",
            f"log {self.log_mb_a_minute:.2f} MB/min",
            f"{self.lines} lines",
            f"{self.seconds:.1f} s",
        ]
        return ", ".join([*control, *rest])
