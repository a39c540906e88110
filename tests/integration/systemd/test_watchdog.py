"""A thread that hangs is noticed, its stack is in the journal, and a new agent runs within half a minute. Several
printers on one board, each with a service of its own, hang beside each other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from agent.service.health import FRESH, TICK
from tests.integration.systemd.service import Service
from tests.integration.systemd.system import OUTSIDE

THREADS = ("runner", "reporter", "MainThread", "link")
"""The driver's own thread says that it lives from the day on that its host can be told."""
MARGIN = 4.0  # seconds: to the end of the old agent, and for two shared processors to start three new ones
WATCHDOG = 30.0  # seconds: the unit's WatchdogSec, for the thread that would have to notice


def unit(thread: str) -> str:
    return f"printer-agent@{thread}.service"


@pytest.fixture
def printers(agent: Service) -> Iterator[Service]:
    """A service for each thread that is to hang; its printer is not there."""
    agent.install_plug_in()
    for thread in THREADS:
        port = OUTSIDE / thread
        agent.configure(port=str(port), driver="hanging", name=thread)
        agent.system.systemctl("start", unit(thread))
    yield agent
    for thread in THREADS:
        (agent.folder / f"{thread}.hang").unlink(missing_ok=True)
        agent.system.run("systemctl", "stop", unit(thread), check=False)


def restarted(printers: Service, thread: str) -> bool:
    shown = printers.system.show(unit(thread))
    return shown["NRestarts"] == "1" and shown["ActiveState"] == "active"


def hung_at(printers: Service, thread: str) -> float:
    """When it began, in monotonic seconds."""
    return float(re.findall(rf"{thread} hangs from ([\d.]+) on", printers.system.journal(unit(thread)))[0])


def test_a_hung_thread_costs_half_a_minute_at_most(printers: Service) -> None:
    assert len({printers.system.show(unit(thread))["UID"] for thread in THREADS}) == len(THREADS)
    began = time.monotonic()
    for thread in THREADS:
        (printers.folder / f"{thread}.hang").write_text(thread)
    took: dict[str, float] = {}
    while len(took) < len(THREADS) and time.monotonic() - began < 2 * WATCHDOG:
        for thread in set(THREADS) - took.keys():
            if printers.system.show(unit(thread))["NRestarts"] != "0":
                (printers.folder / f"{thread}.hang").unlink(missing_ok=True)
            if restarted(printers, thread):
                took[thread] = time.monotonic() - hung_at(printers, thread)
    assert took.keys() == set(THREADS), took
    assert took.pop("MainThread") < WATCHDOG + MARGIN, took
    assert max(took.values()) < FRESH + TICK + MARGIN, took
    for thread in THREADS:
        journal = printers.system.journal(unit(thread))
        assert "Fatal Python error: Aborted" in journal
        assert "hanging.py" in journal
        assert "in hang" in journal
        assert (f'"threads":"{thread}"' in journal) == (thread != "MainThread")
