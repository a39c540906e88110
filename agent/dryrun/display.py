"""Display of a dry run's reports, as the cloud got them: a progress bar, lines of text, or JSON."""

# ruff: noqa: T201 stdout is what this is for
from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.local.status_text import format_duration

STEP = 0.1  # lines of text: one each tenth of the print


class Display(Protocol):
    """Display of one dry run. Calls come in this order; `report` and `status` any number of times."""

    def started(self, url: str, port: str) -> None:
        """Show that the local cloud and the printer are up."""

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """Show that the printer is registered and the job submitted; `speed` is times real time."""

    def report(self, event: dict[str, Any]) -> None:
        """Show a report that the cloud answered."""

    def status(self, event: dict[str, Any]) -> None:
        """Show a heartbeat that the cloud answered."""

    def summary(self, summary: dict[str, Any]) -> None:
        """Show the end, as the cloud has it."""

    def kept(self, folder: Path) -> None:
        """Show which folder was kept."""

    def close(self) -> None:
        """Restore the terminal."""


def make_display(*, json: bool) -> Display:
    """Choose the display: JSON when asked for, a progress bar on a terminal, else lines of text."""
    if json:
        return JsonDisplay()
    return ProgressBarDisplay() if sys.stdout.isatty() else TextDisplay()


class JsonDisplay:
    """Display as JSON: one object a line, and nothing else."""

    def started(self, url: str, port: str) -> None:
        """Print an event."""
        self._emit({"event": "ready", "url": url, "port": port})

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """Print an event."""
        text = "max" if math.isinf(speed) else speed
        self._emit({"event": "submitted", "file": name, "printer_id": printer_id, "speed": text})

    def report(self, event: dict[str, Any]) -> None:
        """Print the event as the cloud emitted it."""
        self._emit({key: event[key] for key in ("event", "path", "body", "status")})

    def status(self, event: dict[str, Any]) -> None:
        """Print the event as the cloud emitted it."""
        self.report(event)

    def summary(self, summary: dict[str, Any]) -> None:
        """Print an event."""
        self._emit(summary)

    def kept(self, folder: Path) -> None:
        """Print an event."""
        self._emit({"event": "kept", "folder": str(folder)})

    def close(self) -> None:
        """Nothing to restore."""

    def _emit(self, event: dict[str, Any]) -> None:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()


class TextDisplay:
    """Display as lines of text: one each tenth of the print and at each change of state."""

    def __init__(self) -> None:
        self._next = 0.0
        self._state = ""

    def started(self, url: str, port: str) -> None:
        """Print a line."""
        self._print(f"cloud at {url}, printer at {port}")

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """Print a line."""
        self._print(f"{name} submitted to printer {printer_id}; the printer runs at {speed_words(speed)}")

    def report(self, event: dict[str, Any]) -> None:
        """Print a line at a new state or tenth of the print, or when the cloud did not accept the report."""
        body = event["body"]
        if event["status"] != 204 or "progress" not in body:
            self._print(f"the cloud answered {event['status']}: {event.get('error', '')}")
            return
        state, progress = words(body)[0], float(body["progress"])
        if state != self._state or progress >= self._next:
            self._state = state
            self._next = math.floor(progress / STEP + 1) * STEP
            self._print(line(body))

    def status(self, event: dict[str, Any]) -> None:
        """Print nothing: the reports have the same."""

    def summary(self, summary: dict[str, Any]) -> None:
        """Print a line."""
        self._print(summary_line(summary))

    def kept(self, folder: Path) -> None:
        """Print a line."""
        self._print(f"kept: {folder}")

    def close(self) -> None:
        """Nothing to restore."""

    def _print(self, text: str) -> None:
        print(text, flush=True)


class ProgressBarDisplay(TextDisplay):
    """Display as a progress bar: percent, layer n of m, nozzle and bed temperature, time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415 slow, and an extra

        super().__init__()
        self._progress = Progress(
            TextColumn("{task.description:>9}"),
            BarColumn(bar_width=30),
            TaskProgressColumn("{task.percentage:>5.1f} %"),
            TextColumn("{task.fields[place]}"),
        )
        self._task: Any = None

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """Start the bar."""
        super().submitted(name, printer_id, speed)
        self._progress.start()
        self._task = self._progress.add_task("sent", total=1.0, place="")

    def report(self, event: dict[str, Any]) -> None:
        """Move the bar."""
        body = event["body"]
        if self._task is None or event["status"] != 204 or "progress" not in body:
            super().report(event)
            return
        state, *place = words(body)
        self._progress.update(self._task, completed=float(body["progress"]), description=state, place="  ".join(place))

    def summary(self, summary: dict[str, Any]) -> None:
        """End the bar and print a line."""
        self.close()
        super().summary(summary)

    def close(self) -> None:
        """Stop drawing."""
        self._progress.stop()

    def _print(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


def words(body: dict[str, Any]) -> list[str]:
    """Describe a report: the state, then what is known of layer, temperatures and time."""
    data = body.get("data", {})
    parts = [str(body.get("job_status") or data.get("state", ""))]
    if data.get("total_layers"):
        parts.append(f"layer {data['layer']} of {data['total_layers']}")
    heaters = data.get("temperatures", {})
    for name, label in (("tool0", "nozzle"), ("bed", "bed")):
        if name in heaters:
            parts.append(f"{label} {heaters[name]['actual']:.0f} °C")
    if "seconds_left" in data and parts[0] in ("printing", "paused"):
        parts.append(f"{format_duration(data['seconds_left'])} left")
    return parts


def line(body: dict[str, Any]) -> str:
    """Format a report as one line."""
    state, *place = words(body)
    return "  ".join([f"{body['progress']:6.1%}", state, *place])


def speed_words(speed: float) -> str:
    """Format a speed: «full speed», «24 × real time»."""
    return "full speed" if math.isinf(speed) else f"{speed:g} × real time"


def summary_line(summary: dict[str, Any]) -> str:
    """Format the summary for a person."""
    text = (
        f"{summary['job_status']}: {summary['lines']} lines, {summary['layers']} layers,"
        f" {summary['reports']} reports in the cloud, {summary['seconds']} s"
    )
    return f"{text}: {summary['error_message']}" if summary.get("error_message") else text
