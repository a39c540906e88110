"""Prometheus metrics of the running agent's `status`.

Importing this imports prometheus_client (about 1 MB), so it is imported at the first request for /metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent import __version__
from agent.core.printable import printable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # what every Prometheus reads
STATES = ("ready", "busy", "printing", "paused", "maintenance", "error")  # docs/protocol.md, «Heartbeat»


def exposition(status: Mapping[str, Any]) -> bytes:
    """Format metrics in Prometheus' text format. `status` is the answer to the local socket's `status`."""
    registry = CollectorRegistry()  # our own: the default one has metrics of the Python process too
    registry.register(_StatusCollector(status))
    return generate_latest(registry)


class _StatusCollector(Collector):
    """Collects metrics from one answer to `status`; a value that it does not have is left out, rather than 0."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        self._status = status
        self._data: Mapping[str, Any] = status.get("data", {})

    def collect(self) -> Iterator[Metric]:
        """The metrics of the answer."""
        yield self._build()
        yield self._state()
        yield from self._job()
        yield from self._heaters()
        yield from self._link()
        yield _gauge("reports_waiting", "Reports that the cloud has not taken yet.", self._status["waiting_reports"])
        asks = "prompt" in self._data
        yield _gauge("prompt_open", "1 while the printer asks something of a person.", asks)
        if "bed" in self._data:
            what = "1 when somebody has confirmed that the last print's part is off the bed."
            yield _gauge("bed_clear", what, self._data["bed"] == "clear")
        yield self._conditions()
        registered = bool(self._status["registration"].get("registered"))
        yield _gauge("registered", "1 when a member has added this printer at the cloud.", registered)
        yield _gauge("listening", "1 while commands from the cloud would arrive.", self._status["listening"])

    def _conditions(self) -> Metric:
        family = GaugeMetricFamily("printer_agent_trouble", "1 for each part that is not well.", labels=["part"])
        for part in self._status.get("conditions", {}):
            family.add_metric([part], 1)
        return family

    def _build(self) -> Metric:
        labels = {"version": __version__, "firmware": printable(self._status.get("firmware", ""))}
        family = GaugeMetricFamily("printer_agent_info", "The agent's version and the printer's.", labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        return family

    def _state(self) -> Metric:
        family = GaugeMetricFamily(
            "printer_agent_printer_state", "1 for the state that the printer is in.", labels=["state"]
        )
        for state in STATES:
            family.add_metric([state], int(state == self._status["printer_status"]))
        return family

    def _job(self) -> Iterator[Metric]:
        if "job_progress" in self._status:
            yield _gauge("job_progress", "How much of the job is done, 0 to 1.", self._status["job_progress"])
        names = {
            "layer": ("layer", "The layer that is being printed."),
            "total_layers": ("layers", "The job's layers in all."),
            "line": ("job_line", "The last line of the file that the printer acknowledged."),
            "total_lines": ("job_lines", "The file's lines in all."),
            "seconds_left": ("job_seconds_left", "Seconds until the job is done, as far as is known."),
        }
        for key, (name, what) in names.items():
            if key in self._data:
                yield _gauge(name, what, self._data[key])

    def _heaters(self) -> Iterator[Metric]:
        heaters: Mapping[str, Mapping[str, float]] = self._data.get("temperatures", {})
        for key, name, what in (
            ("actual", "temperature_celsius", "What a heater measures, in degrees Celsius."),
            ("target", "temperature_target_celsius", "What a heater is to reach, in degrees Celsius; 0 is off."),
        ):
            family = GaugeMetricFamily(f"printer_agent_{name}", what, labels=["heater"])
            for heater, reading in heaters.items():
                family.add_metric([heater], reading[key])
            yield family

    def _link(self) -> Iterator[Metric]:
        link: Mapping[str, int] = self._status["link"]
        for key, what in (
            ("lines", "Lines sent to the printer since its port was opened, resends included."),
            ("resends", "Lines sent again because they were damaged on the way, since the port was opened."),
        ):
            yield CounterMetricFamily(f"printer_agent_serial_{key}", what, value=link[key])


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"printer_agent_{name}", what, value=value)
