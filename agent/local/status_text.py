"""What the agent is doing, for a person: in one line for systemd, in some for `printer-agent status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.core.conditions import Conditions, Part
from agent.core.report import TAKING_OVER
from agent.service.snapshot import Situation


def summary(situation: Situation, conditions: Conditions) -> str:
    """The situation in one line, for `systemctl status`."""
    telemetry, job = situation.telemetry, situation.job
    if job is not None and not job.state.ended:
        doing = "taking over" if situation.busy == TAKING_OVER else telemetry.state
        return f"{doing} {job.name or job.job_id}: {job.progress:.0%}, layer {job.layer}/{job.total_layers}"
    trouble = conditions.first()
    if trouble and not trouble.startswith(Part.PRINTER):
        return f"{telemetry.state}; {trouble}"
    return f"{telemetry.state}: {telemetry.reason}" if telemetry.reason else str(telemetry.state)


def lines(found: Mapping[str, Any]) -> list[str]:
    """The answer as lines of text."""
    data = found.get("data", {})
    shown = [f"printer   {' '.join(_words(found))}"]
    shown += [f"trouble   {part}: {why}" for part, why in found.get("conditions", {}).items() if part != "printer"]
    if found.get("job_id"):
        shown.append(f"job       {found['job_id']} {found.get('job_status') or 'fetching the file'}".rstrip())
    if data.get("ui_sub_state") and not found.get("error_message"):
        shown.append(f"waits     {data['ui_sub_state']}")
    if data.get("total_lines"):
        shown.append(
            f"progress  {found.get('job_progress', 0):.1%}, layer {data['layer']} of {data['total_layers']},"
            f" line {data['line']} of {data['total_lines']}{_left(data)}"
        )
    for name, heater in data.get("temperatures", {}).items():
        shown.append(f"{name:<9} {heater['actual']:.1f} °C, target {heater['target']:.0f}")
    shown += registration_lines(found.get("registration", {}))
    if not found.get("listening", True):
        shown.append("cloud     not listening for commands now")
    if found.get("waiting_reports"):
        shown.append(f"reports   {found['waiting_reports']} wait for the cloud")
    if found.get("state_set_aside"):
        shown.append(f"state     was damaged at the last start; the old one is kept as {found['state_set_aside']}")
    return shown


def registration_lines(found: Mapping[str, Any]) -> list[str]:
    """Who the printer is at the cloud, or how to add it there."""
    if "printer_id" not in found:
        return ["cloud     not registered yet: the server has not answered"]
    if found.get("registered"):
        return [f"cloud     printer {found['printer_id']}, registered"]
    where = f" at {found['url']}" if found.get("url") else ""
    return [f"cloud     printer {found['printer_id']}; add it with the code {found.get('code')}{where}"]


def seconds(value: int) -> str:
    """A duration: 59s, 7m 54s, 1h 25m."""
    minutes, rest = divmod(value, 60)
    if minutes < 1:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m {rest:02}s"


def _words(found: Mapping[str, Any]) -> list[str]:
    words = [str(found.get("printer_status"))]
    if found.get("error_message"):
        words.append(f"({found['error_message']})")
    if found.get("port"):
        words.append(f"at {found['port']}")
    return words


def _left(data: Mapping[str, Any]) -> str:
    return f", {seconds(data['seconds_left'])} left" if "seconds_left" in data else ""
