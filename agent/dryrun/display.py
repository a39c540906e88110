"""What the dry run shows of what the cloud was told: a bar on a terminal, plain lines elsewhere, JSON on request."""

# ruff: noqa: T201 stdout is what this is for
from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.local.status_text import format_duration

STEP = 0.1  # plain lines: one each tenth of the print


class Show(Protocol):
    """One way to show it. Calls come in this order; `report` and `status` any number of times."""

    def started(self, url: str, port: str) -> None:
        """The local cloud and the printer are up."""

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """The printer is registered, the job is on its way."""

    def report(self, event: dict[str, Any]) -> None:
        """The cloud answered a report."""

    def status(self, event: dict[str, Any]) -> None:
        """The cloud answered a heartbeat."""

    def summary(self, summary: dict[str, Any]) -> None:
        """The end, as the cloud has it."""

    def kept(self, folder: Path) -> None:
        """The folder was kept."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make_show(*, json: bool) -> Show:
    """JSON when asked for, a bar on a terminal, else plain lines."""
    if json:
        return JsonShow()
    return BarShow() if sys.stdout.isatty() else PlainShow()


class JsonShow:
    """One JSON object a line, and nothing else."""

    def started(self, url: str, port: str) -> None:
        """An event."""
        self._emit({"event": "ready", "url": url, "port": port})

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """An event."""
        said = "max" if math.isinf(speed) else speed
        self._emit({"event": "submitted", "file": name, "printer_id": printer_id, "speed": said})

    def report(self, event: dict[str, Any]) -> None:
        """The event as the cloud gave it."""
        self._emit({key: event[key] for key in ("event", "path", "body", "status")})

    def status(self, event: dict[str, Any]) -> None:
        """The event as the cloud gave it."""
        self.report(event)

    def summary(self, summary: dict[str, Any]) -> None:
        """An event."""
        self._emit(summary)

    def kept(self, folder: Path) -> None:
        """An event."""
        self._emit({"event": "kept", "folder": str(folder)})

    def close(self) -> None:
        """Nothing to leave."""

    def _emit(self, event: dict[str, Any]) -> None:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()


class PlainShow:
    """A line each tenth of the print and at each change."""

    def __init__(self) -> None:
        self._next = 0.0
        self._state = ""

    def started(self, url: str, port: str) -> None:
        """A line."""
        self._say(f"cloud at {url}, printer at {port}")

    def submitted(self, name: str, printer_id: int, speed: float) -> None:
        """A line."""
        self._say(f"{name} submitted to printer {printer_id}; the printer runs at {speed_words(speed)}")

    def report(self, event: dict[str, Any]) -> None:
        """A line, when there is something new to say."""
        body = event["body"]
        if event["status"] != 204 or "progress" not in body:
            self._say(f"the cloud answered {event['status']}: {event.get('error', '')}")
            return
        state, progress = words(body)[0], float(body["progress"])
        if state != self._state or progress >= self._next:
            self._state = state
            self._next = math.floor(progress / STEP + 1) * STEP
            self._say(line(body))

    def status(self, event: dict[str, Any]) -> None:
        """Nothing: the reports say it."""

    def summary(self, summary: dict[str, Any]) -> None:
        """A line."""
        self._say(summary_line(summary))

    def kept(self, folder: Path) -> None:
        """A line."""
        self._say(f"kept: {folder}")

    def close(self) -> None:
        """Nothing to leave."""

    def _say(self, text: str) -> None:
        print(text, flush=True)


class BarShow(PlainShow):
    """A progress bar: percent, layer n of m, nozzle and bed temperature, time left."""

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
        """The bar begins."""
        super().submitted(name, printer_id, speed)
        self._progress.start()
        self._task = self._progress.add_task("sent", total=1.0, place="")

    def report(self, event: dict[str, Any]) -> None:
        """The bar moves."""
        body = event["body"]
        if self._task is None or event["status"] != 204 or "progress" not in body:
            super().report(event)
            return
        state, *place = words(body)
        self._progress.update(self._task, completed=float(body["progress"]), description=state, place="  ".join(place))

    def summary(self, summary: dict[str, Any]) -> None:
        """The bar ends."""
        self.close()
        super().summary(summary)

    def close(self) -> None:
        """Stop drawing."""
        self._progress.stop()

    def _say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)


def words(body: dict[str, Any]) -> list[str]:
    """A report in words: the state, then what is known of layer, temperatures and time."""
    data = body.get("data", {})
    found = [str(body.get("job_status") or data.get("state", ""))]
    if data.get("total_layers"):
        found.append(f"layer {data['layer']} of {data['total_layers']}")
    heaters = data.get("temperatures", {})
    for name, label in (("tool0", "nozzle"), ("bed", "bed")):
        if name in heaters:
            found.append(f"{label} {heaters[name]['actual']:.0f} °C")
    if "seconds_left" in data and found[0] in ("printing", "paused"):
        found.append(f"{format_duration(data['seconds_left'])} left")
    return found


def line(body: dict[str, Any]) -> str:
    """A report as one line."""
    state, *place = words(body)
    return "  ".join([f"{body['progress']:6.1%}", state, *place])


def speed_words(speed: float) -> str:
    """«full speed», «24 × real time»."""
    return "full speed" if math.isinf(speed) else f"{speed:g} × real time"


def summary_line(summary: dict[str, Any]) -> str:
    """The summary for a person."""
    said = (
        f"{summary['job_status']}: {summary['lines']} lines, {summary['layers']} layers,"
        f" {summary['reports']} reports in the cloud, {summary['seconds']} s"
    )
    return f"{said}: {summary['error_message']}" if summary.get("error_message") else said
