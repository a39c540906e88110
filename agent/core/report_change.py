"""What has changed from one report to the next: `data.change` (docs/protocol.md «Reports on a command»)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from agent.core.report_bodies import PromptData, SituationData

FIELDS = ("state", "job_id", "ui_sub_state", "layer", "bed", "prompt", "error_code", "error_message")
"""Fields of `data` whose changes are told, in this order; those that change all the time (line, temperature, seconds
left) are not."""

MAX_VALUE = 60  # characters of one value
NOTHING = "-"


def with_change(data: SituationData, before: SituationData | None) -> SituationData:
    """`data` with its `change` since the report `before`; empty without one, or without a change."""
    if before is None:
        return data
    pairs = ((name, _value(before, name), _value(data, name)) for name in FIELDS)
    return msgspec.structs.replace(data, change="; ".join(f"{name}: {a} → {b}" for name, a, b in pairs if a != b))


def _value(data: SituationData, name: str) -> str:
    value = getattr(data, name)
    if isinstance(value, PromptData):
        value = f"{value.text} (answered)" if value.answered else value.text
    text = "" if value is UNSET else str(value)
    return (text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…") or NOTHING
