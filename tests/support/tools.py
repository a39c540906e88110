"""Programs that some tests need and that not every machine has."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str) -> str:
    """The path of a program. Without it the test is skipped; where CI is set it goes on, and fails."""
    path = shutil.which(program)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"needs the {program} command")
    return path or program
