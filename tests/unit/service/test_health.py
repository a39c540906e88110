"""Health: pulses of threads, and what systemd is told over a real datagram socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.service.health import FRESH, Health, Pulse, watchdog_interval
from agent.service.notify_socket import NotifySocket
from agent.testing import FakeClock
from tests.support.supervisor import Supervisor


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def health(systemd: Supervisor, clock: FakeClock) -> Iterator[Health]:
    made = Health(clock, NotifySocket(systemd.address))
    yield made
    systemd.read()
    made.notify.close()


def test_ready_and_stopping_are_told(systemd: Supervisor, health: Health) -> None:
    health.ready()
    health.stopping()
    assert systemd.texts() == ["READY=1", "STOPPING=1"]


def test_the_status_is_told_when_it_changes_and_life_at_each_tick(systemd: Supervisor, health: Health) -> None:
    for status in ("idle", "idle", "printing 5%"):
        health.tick(status)
    assert systemd.texts() == ["STATUS=idle", "WATCHDOG=1", "WATCHDOG=1", "STATUS=printing 5%", "WATCHDOG=1"]


def test_the_watchdog_hears_nothing_while_one_thread_is_silent(
    systemd: Supervisor, health: Health, clock: FakeClock
) -> None:
    quick, slow = health.pulse("quick"), health.pulse("slow")
    clock.advance(FRESH)
    quick.beat()
    health.tick("")
    assert health.stale() == []
    clock.advance(0.1)
    health.tick("")
    assert health.stale() == ["slow"]
    slow.beat()
    health.tick("")
    assert systemd.texts() == ["WATCHDOG=1", "WATCHDOG=1"]


def test_systemd_is_asked_for_the_end_of_an_agent_that_hangs(
    systemd: Supervisor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than told nothing more: that would take another WatchdogSec."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    health = Health(clock, NotifySocket(systemd.address))
    health.pulse("slow")
    clock.advance(FRESH + 0.1)
    health.tick("")
    assert systemd.texts() == ["WATCHDOG=trigger"]
    health.notify.close()


def test_a_wait_that_was_announced_is_no_hang(clock: FakeClock) -> None:
    pulse = Pulse("reporter", clock)
    pulse.beat(allow=FRESH + 15)
    clock.advance(FRESH + 15)
    assert pulse.is_fresh()
    clock.advance(0.1)
    assert not pulse.is_fresh()
    pulse.beat(allow=1.0)
    clock.advance(FRESH)
    assert pulse.is_fresh()


def test_a_thread_that_somebody_else_starts_counts_from_its_first_beat(health: Health, clock: FakeClock) -> None:
    link = health.pulse("link", waiting=True)
    clock.advance(10 * FRESH)
    assert health.stale() == []
    link.beat()
    clock.advance(FRESH + 0.1)
    assert health.stale() == ["link"]


def test_more_time_and_a_reload_are_said_as_systemd_reads_it(
    systemd: Supervisor, health: Health, clock: FakeClock
) -> None:
    health.extend(2.5)
    health.reloading()
    health.ready()
    now = int(clock.monotonic() * 1e6)
    assert systemd.texts() == ["EXTEND_TIMEOUT_USEC=2500000", f"RELOADING=1\nMONOTONIC_USEC={now}", "READY=1"]


def test_a_status_cannot_smuggle_in_another_assignment(systemd: Supervisor, health: Health) -> None:
    """What a printer says of itself ends up here."""
    health.pulse("slow")
    health.tick("error: x\nWATCHDOG=1\x00")
    assert systemd.texts()[0] == "STATUS=error: x WATCHDOG=1 "


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_systemd_no_socket_is_opened(clock: FakeClock, environ: dict[str, str]) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    health = Health(clock, NotifySocket.from_environ(environ))
    health.ready()
    health.tick("idle")
    health.stopping()
    assert not health.notify.enabled
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_a_tick_that_systemd_did_not_take_is_not_a_sign_of_life_later(
    systemd: Supervisor, health: Health, clock: FakeClock
) -> None:
    slow = health.pulse("slow")
    systemd.fill()
    health.tick("idle")
    clock.advance(FRESH + 0.1)
    health.tick("hangs")
    assert systemd.texts() == []
    health.tick("hangs")
    assert systemd.texts() == ["STATUS=hangs"]
    slow.beat()
    health.tick("hangs")
    assert systemd.texts() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("value", "expected"), [("10000000", 5.0), ("2000000", 1.0), ("60000000", 5.0), ("0", 5.0), ("x", 5.0), ("", 5.0)]
)
def test_two_ticks_fit_into_what_systemd_allows(monkeypatch: pytest.MonkeyPatch, value: str, expected: float) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", value)
    assert watchdog_interval(5.0) == expected
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval(5.0) == 5.0
