"""The conditions as the threads find them: each part of the tree is set by whoever knows, and read by all.

A change is logged once, when it comes and when it goes; not at each try.
"""

from __future__ import annotations

import threading

import structlog

from agent.core.conditions import Conditions, Part
from agent.core.driver import PrinterState, Telemetry
from agent.errors import CloudError, RejectedError

log = structlog.get_logger(part="conditions")


class ConditionTracker:
    """The slot. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = Conditions()
        self._said: dict[Part, str] = {}

    def set(self, part: Part, reason: str) -> None:
        """What is wrong with `part`; "" when nothing is."""
        self._set({part: reason})

    def _set(self, reasons: dict[Part, str]) -> None:
        if all(self._now.reasons.get(part, "") == reason for part, reason in reasons.items()):
            return  # the usual case costs no lock
        with self._lock:
            for part, reason in reasons.items():
                self._now = self._now.with_(part, reason)
            shown = self._now.shown()
            for gone in self._said.keys() - shown.keys():
                if gone not in self._now.reasons:
                    log.info("well again", what=str(gone))
            for one, why in shown.items():
                if self._said.get(one) != why:
                    log.warning("something is wrong", what=str(one), reason=why)
            self._said = shown

    def printer(self, telemetry: Telemetry) -> None:
        """What the printer says of itself."""
        offline = telemetry.state is PrinterState.OFFLINE and not telemetry.task_id  # with one a print was handed over
        wrong = offline or telemetry.state is PrinterState.ERROR
        self.set(Part.PRINTER, (telemetry.reason or str(telemetry.state)) if wrong else "")

    def server(self, error: CloudError | RejectedError | None) -> None:
        """What the last call to the server met; None when it worked. Said without what differs from call to call."""
        status = error.status if error is not None else 0
        silent = str(error).partition(": ")[2] if status is None else ""
        self._set(
            {
                Part.NETWORK: f"the server gives {silent}" if silent else "",
                Part.CLOUD: f"the server answers {status}" if status else "",
            }
        )

    def read(self) -> Conditions:
        """All of it now."""
        return self._now
