"""All groups of cases."""

from __future__ import annotations

from benchmarks.hostile import file_cases, local_cases, printer_cases, publisher_cases, rest_cases

GROUPS = (*publisher_cases.GROUPS, *rest_cases.GROUPS, *printer_cases.GROUPS, *local_cases.GROUPS, *file_cases.GROUPS)
