"""Status of the agent as text: one line for systemd, several for `printer-agent status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.bed import HINT
from agent.core.conditions import Conditions, Part
from agent.core.printable import printable
from agent.core.printer_status import AWAITING_BED, BUSY_TEXT, INSTALLING, TAKING_OVER, WAITS_FOR_BED
from agent.service.snapshot import Situation


def summary(situation: Situation, conditions: Conditions) -> str:
    """Format the situation in one line, for `systemctl status`."""
    return printable(_summary(situation, conditions))


def _summary(situation: Situation, conditions: Conditions) -> str:
    telemetry, job = situation.telemetry, situation.job
    if situation.busy == AWAITING_BED and job is not None:
        return f"{WAITS_FOR_BED}: {job.name or job.job_id}"
    if situation.busy == INSTALLING:
        return BUSY_TEXT[INSTALLING]
    if job is not None and not job.state.ended:
        if job.transfer:
            return f"{telemetry.state} {job.name or job.job_id}: {job.transfer}"
        activity = "taking over" if situation.busy == TAKING_OVER else telemetry.state
        return f"{activity} {job.name or job.job_id}: {job.progress:.0%}, layer {job.layer}/{job.total_layers}"
    condition = conditions.first()
    if condition and not condition.startswith(Part.PRINTER):
        return f"{telemetry.state}; {condition}"
    return f"{telemetry.state}: {telemetry.reason}" if telemetry.reason else str(telemetry.state)


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """Format an answer to the local socket's `status` as lines of text."""
    data = status.get("data", {})
    lines = [f"printer   {' '.join(_printer_words(status))}"]
    lines += [f"trouble   {part}: {why}" for part, why in status.get("conditions", {}).items() if part != "printer"]
    if status.get("display"):
        lines.append(f"display   {status['display']}")
    if status.get("job_id"):
        lines.append(f"job       {status['job_id']} {status.get('job_status') or 'fetching the file'}".rstrip())
    if data.get("ui_sub_state") and not status.get("error_message"):
        label = "file" if is_file_on_its_way(status) else "waits"
        lines.append(f"{label:<9} {data['ui_sub_state'].removeprefix('waits ')}")
    if data.get("prompt"):
        lines.append(f"asks      {asked(data['prompt'])}")
    if data.get("bed") == "not_confirmed" and status.get("printer_status") not in ("printing", "paused"):
        lines.append(f"bed       not confirmed clear: {HINT}")
    if data.get("total_lines"):
        lines.append(
            f"progress  {status.get('job_progress', 0):.1%}, layer {data['layer']} of {data['total_layers']},"
            f" line {data['line']} of {data['total_lines']}{_time_left(data)}"
        )
    for name, heater in data.get("temperatures", {}).items():
        lines.append(f"{name:<9} {heater['actual']:.1f} °C, target {heater['target']:.0f}")
    lines += registration_lines(status.get("registration", {}))
    if not status.get("listening", True):
        lines.append("cloud     not listening for commands now")
    if status.get("waiting_reports"):
        lines.append(f"reports   {status['waiting_reports']} wait for the cloud")
    if status.get("state_set_aside"):
        lines.append(f"state     was damaged at the last start; the old one is kept as {status['state_set_aside']}")
    return [printable(line) for line in lines]


def is_file_on_its_way(status: Mapping[str, Any]) -> bool:
    """Whether `ui_sub_state` tells of the job's file: it has no status before the file is here."""
    return bool(status.get("job_id")) and not status.get("job_status")


def asked(prompt: Mapping[str, Any]) -> str:
    """Format what the printer asks, with the numbers of its choices."""
    choices = ", ".join(f"{number} {choice}" for number, choice in enumerate(prompt["choices"]))
    if prompt["answered"]:
        return f"{prompt['text']} (answered)"
    return f"{prompt['text']} ({choices or 'choose on its display'})"


def registration_lines(registration: Mapping[str, Any]) -> list[str]:
    """Format the printer's registration at the cloud, or how to add it there."""
    if "printer_id" not in registration:
        return [
            printable(f"cloud     not registered: {registration.get('reason') or 'the server has not answered yet'}")
        ]
    if registration.get("registered"):
        return [f"cloud     printer {registration['printer_id']}, registered"]
    where = f" at {registration['url']}" if registration.get("url") else ""
    lines = [f"cloud     printer {registration['printer_id']}; add it with the code {registration.get('code')}{where}"]
    if registration.get("replaces"):
        lines.append(f"cloud     a new printer in place of {registration['replaces']}")
    return [printable(line) for line in lines]


def format_duration(seconds: int) -> str:
    """Format a duration: 59s, 7m 54s, 1h 25m."""
    minutes, rest = divmod(seconds, 60)
    if minutes < 1:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"


def _printer_words(status: Mapping[str, Any]) -> list[str]:
    words = [str(status.get("printer_status"))]
    if status.get("error_message"):
        words.append(f"({status['error_message']})")
    if status.get("port"):
        words.append(f"at {status['port']}")
    return words


def _time_left(data: Mapping[str, Any]) -> str:
    return f", {format_duration(data['seconds_left'])} left" if "seconds_left" in data else ""
