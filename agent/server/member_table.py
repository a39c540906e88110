"""Table of a member's printers for a terminal, from whatever the server has sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.core.display_width import cut_to_width, display_width, pad_to_width
from agent.core.printable import printable

CELL_LIMIT = 48  # columns of a cell
TEXT_LIMIT = 400  # characters of a value that are looked at
NOTHING = "-"

COLUMNS = {
    "ID": "printer_id",
    "NAME": "printer_name",
    "LAST HEALTH": "printer_last_health",
    "FIRMWARE": "firmware",
}
"""Heading → the key of `printers[]`."""
RIGHTS = {"is_primary": "owner", "is_printer_scoped": "printer", "is_job_scoped": "job"}
"""Key of `printers[]` → what it lets the member do: owner may also add members, printer is for commands to the printer,
job for those to a job."""


def table(printers: Sequence[Mapping[str, Any]]) -> str:
    """Format printers as a table, a line each; «-» where the server says nothing."""
    rows = [[*COLUMNS, "RIGHTS"]]
    rows += [[*(_cell(printer.get(key)) for key in COLUMNS.values()), _rights(printer)] for printer in printers]
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(pad_to_width(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cell(value: object) -> str:
    if isinstance(value, str):
        text = value[:TEXT_LIMIT]
    elif value is None:
        text = ""
    else:
        text = msgspec.json.encode(value)[:TEXT_LIMIT].decode("utf-8", "ignore")
    return cut_to_width(printable(text).strip(), CELL_LIMIT) or NOTHING


def _rights(printer: Mapping[str, Any]) -> str:
    return ", ".join(name for key, name in RIGHTS.items() if printer.get(key) is True) or NOTHING
