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

QUICK = frozenset(
    {
        "braces",
        "cancels-2000",
        "unterminated",
        "faye-bomb",
        "ws-fragments",
        "rest-endless-body",
        "rest-bomb",
        "file-bomb-lines",
        "file-silent",
        "logs-redirect",
        "package-older",
        "printer-garbage",
        "printer-capabilities",
        "socket-half-cloud",
        "page-rebinding",
    }
)
"""The cases of a quick run: one or two of each attacker's."""
