"""State of the printer in the words of the API: its status, temperatures and link (docs/protocol.md, «Heartbeat»)."""

from __future__ import annotations

import math
from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from agent.core.driver import Heater, Link, PrinterState, Telemetry
from agent.core.job import JobView
from agent.core.report_bodies import LinkQuality, PromptData, Temperature

TAKING_OVER = "taking_over"  # what the agent does after a restart, until the printer has said where its print is
AWAITING_BED = "awaiting_bed"  # what it does with a print that waits until somebody confirms that the bed is clear
WAITS_FOR_BED = "waits until the bed is clear"
INSTALLING = "installing_firmware"  # the port is the install command's, until the printer is identified again
BUSY_TEXT = {
    TAKING_OVER: "taking over the print",
    AWAITING_BED: WAITS_FOR_BED,
    INSTALLING: "the firmware is being installed",
}
"""Agent's own work → `data.ui_sub_state`."""

_STATUS = {
    PrinterState.OFFLINE: "error",
    PrinterState.RECOVERING: "error",  # offline, unless the agent is taking the print over (`busy`)
    PrinterState.ERROR: "error",
    PrinterState.IDLE: "ready",
    PrinterState.BUSY: "busy",
    PrinterState.PRINTING: "printing",
    PrinterState.PAUSING: "printing",
    PrinterState.PAUSED: "paused",
    PrinterState.RESUMING: "paused",
    PrinterState.CANCELLING: "busy",
}


def printer_state(job: JobView | None, telemetry: Telemetry, busy: str = "") -> str:
    """The cloud's `printer_status`: ready, busy, printing, paused, maintenance or error."""
    if busy == TAKING_OVER:
        return "busy"
    if busy == INSTALLING:
        return "maintenance"
    status = _STATUS[telemetry.state]
    if status == "error":
        return status
    if busy == "firmware_upgrade":
        return "maintenance"
    if status == "ready" and (busy or (job is not None and not job.state.ended)):
        return "busy"
    return status


def link(quality: Link) -> LinkQuality | UnsetType:
    """Convert the quality of the serial link; UNSET before the first line."""
    if not quality.lines:
        return UNSET
    return LinkQuality(
        resend_rate=round(quality.resend_rate, 4),
        latency_p50_ms=_known(quality.latency_p50_ms),
        latency_p99_ms=_known(quality.latency_p99_ms),
        starved=UNSET if quality.starved is None else quality.starved,
    )


def prompt(telemetry: Telemetry) -> PromptData | UnsetType:
    """What the printer asks; UNSET when it asks nothing."""
    asked = telemetry.prompt
    if asked is None:
        return UNSET
    return PromptData(id=asked.id, text=asked.text, choices=asked.choices, answered=telemetry.answered == asked.id)


def temperatures(heaters: Iterable[Heater]) -> tuple[int, dict[str, Temperature]] | tuple[UnsetType, UnsetType]:
    """The `temperature`, an integer in °C (the first tool's, else the first heater's), and all readings; UNSET where
    none is known."""
    known = [heater for heater in heaters if math.isfinite(heater.actual)]
    if not known:
        return UNSET, UNSET
    first = next((heater for heater in known if heater.name.startswith("tool")), known[0])
    return round(first.actual), {
        heater.name: Temperature(
            actual=round(heater.actual, 1),
            target=round(heater.target, 1) if math.isfinite(heater.target) else 0.0,
        )
        for heater in known
    }


def _known(value: float | None) -> float | UnsetType:
    return UNSET if value is None else value
