"""All groups of cases."""

from __future__ import annotations

from benchmarks.hostile import (
    faye_cases,
    file_cases,
    local_cases,
    package_cases,
    printer_cases,
    publisher_cases,
    rest_cases,
    websocket_cases,
)

GROUPS = (
    *publisher_cases.GROUPS,
    *faye_cases.GROUPS,
    *websocket_cases.GROUPS,
    *rest_cases.GROUPS,
    *file_cases.GROUPS,
    *package_cases.GROUPS,
    *printer_cases.GROUPS,
    *local_cases.GROUPS,
)
