"""Bodies of reports and of the heartbeat, as structs (docs/protocol.md, «Reports on a command», «Heartbeat»).

    receipt    progress 0, data.state "received"                          one, at once
    milestone  the file is completely here (job_status "received")        one a print; the server may delete it then
    progress   0 < progress < 1                                           any number; newer replaces unsent older
    terminal   progress 1, data.state "completed" or "failed"             exactly one

A field that is UNSET is not in the JSON; the fields' order is the order of the keys on the wire.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from agent.core.driver import HeatCurve
from agent.core.shrink import MAX_DATA, length, shrink


class Kind(StrEnum):
    """What kind of report a row of the outbox is."""

    RECEIPT = "receipt"
    MILESTONE = "milestone"
    PROGRESS = "progress"
    TERMINAL = "terminal"


class FirmwareChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an upgrade changed: versions of packages, and what the printer says of itself (M115); empty where that is
    not known. `installed` is None where nobody knows whether the new version was."""

    old_version: str
    new_version: str
    installed: bool | None
    old_firmware: str
    new_firmware: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a completed task gives back: it joins `data` of the terminal report."""

    settings: dict[str, Any] | UnsetType = UNSET
    message: str = ""
    url: str | UnsetType = UNSET
    firmware: FirmwareChange | UnsetType = UNSET


class Temperature(msgspec.Struct, frozen=True):
    """One heater's reading in °C; target 0 is off."""

    actual: float
    target: float


class LinkQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Quality of the serial link; what is not known is UNSET."""

    resend_rate: float
    latency_p50_ms: float | UnsetType = UNSET
    latency_p99_ms: float | UnsetType = UNSET
    starved: int | UnsetType = UNSET


class TaskData(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of a receipt and of a terminal report."""

    state: str
    command: str
    is_error: bool
    error_code: int | UnsetType = UNSET
    error: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    layer: int | UnsetType = UNSET
    total_layers: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    seconds_left: int | UnsetType = UNSET
    seconds_left_from: str | UnsetType = UNSET
    heat_curve: HeatCurve | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    message: str = ""  # for a person: why it failed, or what there is to say of it
    url: str | UnsetType = UNSET
    firmware: FirmwareChange | UnsetType = UNSET


class PromptData(msgspec.Struct, frozen=True, kw_only=True):
    """What the printer asks; `choices` are those that can be answered from afar. `answered`: an answer is on its
    way."""

    id: int
    text: str
    choices: tuple[str, ...]
    answered: bool


class SituationData(msgspec.Struct, frozen=True, kw_only=True):
    """`data` of progress and of the heartbeat: the printer and its job now."""

    command: str | UnsetType = UNSET
    state: str
    change: str = ""
    ui_sub_state: str
    job_id: str | UnsetType = UNSET
    job_name: str | UnsetType = UNSET
    layer: int | UnsetType = UNSET
    total_layers: int | UnsetType = UNSET
    line: int | UnsetType = UNSET
    total_lines: int | UnsetType = UNSET
    seconds_left: int | UnsetType = UNSET
    seconds_left_from: str | UnsetType = UNSET
    temperature: int | UnsetType = UNSET
    temperatures: dict[str, Temperature] | UnsetType = UNSET
    bed: str | UnsetType = UNSET
    is_error: bool
    message: str | UnsetType = UNSET
    prompt: PromptData | UnsetType = UNSET
    link: LinkQuality | UnsetType = UNSET
    error_code: int | UnsetType = UNSET
    error: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The report that acknowledges a command at once."""

    progress: float = 0.0
    printer_status: str
    data: TaskData
    job_id: str | UnsetType = UNSET


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report on the way (milestone, progress) or at the end (terminal)."""

    progress: float
    printer_status: str
    error_code: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_status: str | UnsetType = UNSET
    job_progress: float | UnsetType = UNSET
    data: TaskData | SituationData


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The heartbeat: the printer's status, with its job."""

    printer_status: str
    error_code: int | UnsetType = UNSET
    error_message: str | UnsetType = UNSET
    job_id: str | UnsetType = UNSET
    job_status: str | UnsetType = UNSET
    job_progress: float | UnsetType = UNSET
    data: SituationData


Body = Receipt | TaskReport | Heartbeat


def encode(body: Body) -> bytes:
    """Encode a body as JSON, its `data` shrunk to MAX_DATA if need be."""
    if length(body.data) <= MAX_DATA:
        return msgspec.json.encode(body)
    plain = msgspec.to_builtins(body)
    return msgspec.json.encode({**plain, "data": shrink(plain["data"])})
