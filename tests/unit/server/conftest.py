"""The reporter's rig."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.server_rig import ReporterRig, ScriptedServer


@pytest.fixture
def rig(tmp_path: Path, server: ScriptedServer) -> Iterator[ReporterRig]:
    """A reporter at a server that takes everything unless told otherwise."""
    made = ReporterRig(server, tmp_path / "agent.db")
    yield made
    made.close()
