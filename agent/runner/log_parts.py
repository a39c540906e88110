"""Parts of the archive of logs: where each text comes from."""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent import __version__
from agent.core.driver import Telemetry
from agent.runner.runner_store import RunnerStore
from agent.service.config import Config
from agent.service.log_archive import ArchivePart, box_names, file_parts
from agent.service.log_sources import LogSources
from agent.service.run_log import NAMES
from agent.service.scrub import REMOVED

TASKS = 200
"""Tasks of the ledger that are in it, the newest."""
LIBRARIES = ("msgspec", "pyserial", "requests", "structlog", "tenacity", "urllib3")


def log_parts(
    sources: LogSources, config: Config, store: RunnerStore, telemetry: Telemetry, answers: Mapping[str, Sequence[str]]
) -> list[ArchivePart]:
    """The parts, the most useful first; `answers` are what the printer has answered just now, by command."""
    return [
        ArchivePart("versions.json", text=lambda: _json(versions())),
        ArchivePart("printer.json", text=lambda: _json(printer_facts(telemetry, answers))),
        ArchivePart("configuration.json", text=lambda: _json(without_secrets(msgspec.to_builtins(config)))),
        ArchivePart("tasks.jsonl", text=lambda: _tasks(store)),
        ArchivePart("log/memory.log", text=sources.recent),
        *reversed(file_parts(sources.runs, NAMES, "log")),
        *reversed(file_parts(sources.black_boxes, box_names(sources.black_boxes), "blackbox")),
    ]


def versions() -> dict[str, Any]:
    """Versions of the agent and of what it runs on."""
    return {
        "printer-agent": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def printer_facts(telemetry: Telemetry, answers: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What is known of the printer: the driver's telemetry with its counters, and what it answered to commands."""
    now = msgspec.to_builtins(msgspec.structs.replace(telemetry, query=None))
    return {**now, "resend_rate": telemetry.link.resend_rate, "answers": {key: list(answers[key]) for key in answers}}


def without_secrets(tree: Any) -> Any:
    """A configuration without the values of a plug-in driver's keys that are texts: nobody here knows what they mean.
    No other key holds a secret."""
    return {**tree, "driver": {key: REMOVED if isinstance(of, str) else of for key, of in tree["driver"].items()}}


def _tasks(store: RunnerStore) -> bytes:
    return b"".join(
        msgspec.json.encode(
            {
                "received_at": datetime.fromtimestamp(row.received_at, UTC).isoformat(timespec="seconds"),
                "task_id": row.task.command.task_id,
                "command": row.task.command.raw_name,
                "job_id": row.task.command.job_id,
                "state": row.task.state,
                "progress": row.task.progress,
                "local": row.task.local,
                "message": row.task.message,
            }
        )
        + b"\n"
        for row in store.recent_tasks(TASKS)
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
