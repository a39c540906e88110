"""One booted systemd, one installed agent, one cloud and one printer for all tests of this folder (of a worker)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.systemd.service import UNIT, Service, install, service, system_python
from tests.integration.systemd.system import System, missing

GCODE = (
    "M190 S60\nM109 S210\nG28\n"
    + "".join(f"G1 X{10 + i % 50} Y{20 + i % 30} F1200\n" for i in range(2500))
    + "M104 S0\nM140 S0\n"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a systemd in one worker, where the workers are told to keep groups together (make test)."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            shared = item.path.name != "test_install.py"
            item.add_marker(pytest.mark.xdist_group("systemd" if shared else "install"))


@pytest.fixture(scope="session")
def possible() -> None:
    """Root, namespaces, a systemd, and a Python that a service sees. Without them nothing here can be said."""
    why = missing() or ("" if system_python() else "no system Python of 3.11 or newer")
    if why and os.environ.get("CI"):
        pytest.fail(f"no systemd can be tried here: {why}")
    if why:
        pytest.skip(f"no systemd can be tried here: {why}")


@pytest.fixture(scope="session")
def installed(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make install` makes."""
    folder = tmp_path_factory.mktemp("installed")
    install(folder)
    return folder


@pytest.fixture(scope="session")
def system(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A systemd of our own."""
    made = System(tmp_path_factory.mktemp("system"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def everything(system: System, installed: Path) -> Iterator[Service]:
    """The service, a cloud, and a printer that is sixty times as fast as a real one."""
    with service(system, installed, speed="60") as made:
        yield made


@pytest.fixture
def agent(everything: Service) -> Iterator[Service]:
    """The service, installed and configured, not running, with a journal that begins now."""
    everything.configure()
    everything.forget()
    yield everything
    everything.system.run("systemctl", "stop", UNIT, check=False)
    everything.system.run("systemctl", "reset-failed", check=False)


@pytest.fixture
def printing(agent: Service, tmp_path: Path) -> Service:
    """The service in the middle of a print, hot."""
    agent.start()
    agent.begin(tmp_path, GCODE)
    return agent
