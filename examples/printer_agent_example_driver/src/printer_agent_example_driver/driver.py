"""The driver itself: each call checks the state, claims the next one and leaves the work to the driver's thread."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.clock import Clock
from agent.core.driver import Host, LineSource, Outcome, PrinterState, Telemetry, Unfinished
from drivers.settings import DriverSettings

from .settings import TcpSettings
from .slot import Interrupt, Slot
from .worker import Print, Script, Worker

S = PrinterState
RUNNING = (S.PRINTING, S.PAUSING, S.PAUSED, S.RESUMING, S.BUSY)
CONNECTED = (*RUNNING, S.IDLE, S.CANCELLING, S.ERROR)


class TcpDriver:
    """See `agent.core.driver.Driver`, whose words hold for each method here."""

    Settings = TcpSettings

    def __init__(self, settings: DriverSettings, *, clock: Clock, own: TcpSettings) -> None:
        self._slot = Slot("not opened yet")
        self._worker = Worker(self._slot, settings.scripts, own, clock)

    def open(self, host: Host, unfinished: Unfinished | None = None) -> None:
        """Start the driver's thread. A print of an agent before this one fails: this driver cannot take it over."""
        self._slot.wake = host.wake
        if unfinished is not None:
            self._slot.note(task_id=unfinished.task_id, line=unfinished.line)
            self._slot.end(S.OFFLINE, Outcome.FAILED, "this driver cannot take over a print", "connecting")
        self._worker.start(host, heaters_unknown=unfinished is not None)

    def close(self, timeout: float = 5.0, *, hand_over: bool = False) -> None:
        """End the driver's thread; a print is cancelled first, or left as it is with `hand_over`."""
        self._slot.interrupt = Interrupt.HAND_OVER if hand_over else Interrupt.CLOSE
        self._worker.join(timeout)

    def telemetry(self) -> Telemetry:
        """Return the latest snapshot."""
        return self._slot.read()

    def start_print(self, task_id: str, source: LineSource, preamble: Sequence[str] = ()) -> None:
        """Print `source`."""
        self._slot.move([S.IDLE], S.PRINTING, task_id=task_id, line=0)
        self._worker.job = Print(source, tuple(preamble))

    def run_script(self, task_id: str, lines: Sequence[str]) -> None:
        """Send `lines`."""
        self._slot.move([S.IDLE], S.BUSY, task_id=task_id)
        self._worker.job = Script(tuple(lines))

    def pause(self) -> None:
        """Pause after the line that is being sent."""
        self._slot.move([S.PRINTING], S.PAUSING)

    def resume(self) -> None:
        """Resume with the very next line."""
        self._slot.move([S.PAUSED], S.RESUMING, reason="")

    def cancel(self) -> None:
        """End what runs."""
        self._slot.move(RUNNING, S.CANCELLING, reason="")

    def reset(self) -> None:
        """Reboot the controller."""
        self._slot.require(CONNECTED)
        self._slot.interrupt = Interrupt.RESET

    def halt(self) -> None:
        """Stop motors and heaters at once (`SupportsEmergencyStop`)."""
        self._slot.require(CONNECTED)
        self._slot.interrupt = Interrupt.HALT
