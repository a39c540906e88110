"""The runner's rig."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig


@pytest.fixture
def rig(tmp_path: Path, store: Store) -> RunnerRig:
    """A runner with a driver in the test's hands."""
    return RunnerRig(tmp_path, store)
