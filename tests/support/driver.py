"""A driver without a printer: a telemetry slot that the test writes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.core.driver import Host, LineSource, PrinterState, Telemetry, Unfinished
from agent.errors import NotReadyError


class SlotDriver:
    """As much of `agent.core.driver.Driver` as a reader of telemetry needs; it refuses all work."""

    def __init__(self, state: PrinterState = PrinterState.IDLE, reason: str = "") -> None:
        self.slot = Telemetry(state=state, reason=reason)

    def now(self, **changes: object) -> None:
        """Change the snapshot."""
        self.slot = msgspec.structs.replace(self.slot, **changes)

    def telemetry(self) -> Telemetry:
        """The latest snapshot."""
        return self.slot

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """Nothing to open."""

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """Nothing to close."""

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")

    def pause(self) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")

    def resume(self) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")

    def cancel(self) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")

    def reset(self) -> None:
        """Refused."""
        raise NotReadyError("there is no printer")
