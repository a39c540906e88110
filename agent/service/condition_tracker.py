"""Tracker of conditions: which part of the agent, the printer or the cloud is in trouble, and why.

Each part of the tree (agent/core/conditions.py) is set by the thread that knows, and read by all. A change is logged
once, when a condition is raised and when it is cleared; not at each attempt.
"""

from __future__ import annotations

import threading

import structlog

from agent.core.bed import HINT
from agent.core.conditions import Conditions, Part
from agent.core.driver import PrinterState, Telemetry
from agent.core.printer_status import AWAITING_BED, WAITS_FOR_BED
from agent.errors import CloudError, RejectedError

log = structlog.get_logger(part="conditions")


class ConditionTracker:
    """Holds the current conditions. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current = Conditions()
        self._logged: dict[Part, str] = {}

    def set(self, part: Part, reason: str) -> None:
        """Raise the condition of `part` with this reason, or clear it with ""."""
        self._set({part: reason})

    def _set(self, reasons: dict[Part, str]) -> None:
        if all(self._current.reasons.get(part, "") == reason for part, reason in reasons.items()):
            return  # the usual case costs no lock
        with self._lock:
            for part, reason in reasons.items():
                self._current = self._current.with_(part, reason)
            shown = self._current.shown()
            for cleared in self._logged.keys() - shown.keys():
                if cleared not in self._current.reasons:
                    log.info("condition cleared", condition=str(cleared))
            for raised, reason in shown.items():
                if self._logged.get(raised) != reason:
                    log.warning("condition raised", condition=str(raised), error=reason)
            self._logged = shown

    def update_printer(self, telemetry: Telemetry) -> None:
        """Set the printer's condition from its state: raised while it is offline or in error."""
        released = telemetry.released is not None  # to an install command: no trouble
        offline = telemetry.state is PrinterState.OFFLINE and not telemetry.task_id and not released
        wrong = offline or telemetry.state is PrinterState.ERROR
        self.set(Part.PRINTER, (telemetry.reason or str(telemetry.state)) if wrong else "")

    def update_bed(self, busy: str) -> None:
        """Set the bed's condition from the agent's own work: raised while a print waits for it."""
        self.set(Part.BED, f"a print {WAITS_FOR_BED}: {HINT}" if busy == AWAITING_BED else "")

    def update_server(self, error: CloudError | RejectedError | None) -> None:
        """Set the network's and the cloud's condition from the last call; None when it succeeded. The reason has
        nothing in it that differs from call to call."""
        status = error.status if error is not None else 0
        silent = str(error).partition(": ")[2] if status is None else ""
        self._set(
            {
                Part.NETWORK: f"the server gives {silent}" if silent else "",
                Part.CLOUD: f"the server answers {status}" if status else "",
            }
        )

    def read(self) -> Conditions:
        """The conditions now."""
        return self._current
