"""Health: pulses of threads, and what systemd is told over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.health import FRESH, Health, watchdog_interval
from tests.support.clock import FakeClock


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield made


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(systemd: socket.socket, clock: FakeClock) -> Iterator[Health]:
    made = Health(clock)
    yield made
    assert made._notifier is not None
    made._notifier.socket.close()


def told(systemd: socket.socket) -> list[str]:
    """What has arrived by now."""
    systemd.setblocking(False)
    found = []
    try:
        while True:
            found.append(systemd.recv(4096).decode())
    except BlockingIOError:
        return found


def test_ready_and_stopping_are_told(systemd: socket.socket, health: Health) -> None:
    health.ready()
    health.stopping()
    assert told(systemd) == ["READY=1", "STOPPING=1"]


def test_the_status_is_told_when_it_changes_and_life_at_each_tick(systemd: socket.socket, health: Health) -> None:
    for status in ("idle", "idle", "printing 5%"):
        health.tick(status)
    assert told(systemd) == ["STATUS=idle", "WATCHDOG=1", "WATCHDOG=1", "STATUS=printing 5%", "WATCHDOG=1"]


def test_the_watchdog_hears_nothing_while_one_thread_is_silent(
    systemd: socket.socket, health: Health, clock: FakeClock
) -> None:
    quick, slow = health.pulse("quick"), health.pulse("slow")
    clock.advance(FRESH)
    quick.beat()
    health.tick("")
    assert health.stale() == []
    clock.advance(0.1)
    health.tick("")
    assert health.stale() == ["slow"]
    assert (quick.age(), slow.age()) == pytest.approx((0.1, FRESH + 0.1))
    slow.beat()
    health.tick("")
    assert told(systemd) == ["WATCHDOG=1", "WATCHDOG=1"]


def test_a_status_cannot_smuggle_in_another_assignment(systemd: socket.socket, health: Health) -> None:
    """What a printer says of itself ends up here."""
    health.pulse("slow")
    health.tick("error: x\nWATCHDOG=1\x00")
    assert told(systemd)[0] == "STATUS=error: x WATCHDOG=1 "


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    health = Health(FakeClock())
    health.ready()
    health.tick("idle")
    health.stopping()


@pytest.mark.parametrize(
    ("value", "expected"), [("10000000", 5.0), ("2000000", 1.0), ("60000000", 5.0), ("0", 5.0), ("x", 5.0), ("", 5.0)]
)
def test_two_ticks_fit_into_what_systemd_allows(monkeypatch: pytest.MonkeyPatch, value: str, expected: float) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", value)
    assert watchdog_interval(5.0) == expected
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval(5.0) == 5.0
