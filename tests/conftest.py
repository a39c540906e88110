"""Fixtures that tests of more than one room share. The rigs are in tests/rigs/, each with what is real in it.

A folder or a module that needs another one of the same name has its own, which wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from agent.state.store import Store
from agent.testing import FakeClock
from tests.rigs.cloud_rig import RunningCloud, RunningPrinter
from tests.rigs.server_rig import ScriptedServer, scripted
from tests.support.store import open_store

# How long one example takes says how busy the machine is; what must be quick has a test of its own.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until it is told to move on."""
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    """A new store in a database file of its own."""
    made = open_store(tmp_path / "agent.db", clock)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """An HTTP server on the loopback that answers as the test says."""
    with scripted() as made:
        yield made


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A local cloud, one for the tests of a module."""
    with RunningCloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def printer(cloud: RunningCloud) -> RunningPrinter:
    """A new printer, registered at the cloud."""
    return cloud.printer()
