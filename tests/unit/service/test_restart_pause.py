"""The pause before a start that follows failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.service import restart_pause
from agent.service.health import TICK, Health
from agent.service.notify_socket import NotifySocket
from agent.service.restart_pause import FREE_RESTARTS, MAX_PAUSE, MIN_RUN, STARTS_FILE, pause_after
from agent.testing import FakeClock
from tests.support.supervisor import Supervisor


def test_it_grows_to_two_minutes_and_stays_there() -> None:
    assert [pause_after(failed) for failed in range(12)] == [0, 0, 0, 2, 4, 8, 16, 32, 64, 120, 120, 120]
    assert pause_after(10_000) == MAX_PAUSE


def test_starts_that_fail_soon_are_counted(tmp_path: Path) -> None:
    clock = FakeClock()
    for failed in range(FREE_RESTARTS + 3):
        assert restart_pause.record_start(tmp_path, clock).failed == failed
        clock.advance(pause_after(failed) + MIN_RUN - 0.1)  # counted from the end of its own pause


def test_one_that_lived_for_long_enough_begins_anew(tmp_path: Path) -> None:
    clock = FakeClock()
    restart_pause.record_start(tmp_path, clock)
    clock.advance(MIN_RUN - 0.1)
    assert restart_pause.record_start(tmp_path, clock).failed == 1
    clock.advance(MIN_RUN)
    assert restart_pause.record_start(tmp_path, clock).failed == 0


def test_an_agent_that_ended_as_it_should_is_no_failure(tmp_path: Path) -> None:
    clock = FakeClock()
    restart_pause.record_start(tmp_path, clock)
    restart_pause.clear_starts(tmp_path)
    restart_pause.clear_starts(tmp_path)
    assert restart_pause.record_start(tmp_path, clock).failed == 0


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"began": "yesterday"}'])
def test_a_note_that_makes_no_sense_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / STARTS_FILE).write_bytes(text)
    assert restart_pause.record_start(tmp_path, FakeClock()).failed == 0


def test_without_a_place_for_it_the_agent_starts_all_the_same(tmp_path: Path) -> None:
    assert restart_pause.record_start(tmp_path / "gone", FakeClock()).failed == 0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Supervisor]:
    made = Supervisor(str(tmp_path / "notify"))
    yield made
    made.close()


def pause(folder: Path, systemd: Supervisor, failed: int, sleep: Callable[[float], None]) -> None:
    """A start that follows `failed` ones."""
    clock = FakeClock()
    for _ in range(failed):
        restart_pause.record_start(folder, clock)
    health = Health(clock, NotifySocket(systemd.address))
    restart_pause.wait_before_start(folder, clock, health, sleep=sleep)
    health.notify.close()


def test_a_start_that_follows_no_failures_is_not_delayed(tmp_path: Path, systemd: Supervisor) -> None:
    slept = list[float]()
    pause(tmp_path, systemd, FREE_RESTARTS, slept.append)
    assert slept == []
    assert systemd.texts() == []


def test_the_pause_is_waited_and_said(tmp_path: Path, systemd: Supervisor) -> None:
    slept = list[float]()
    pause(tmp_path, systemd, FREE_RESTARTS + 3, slept.append)
    assert sum(slept) == 8.0
    assert max(slept) <= TICK
    assert systemd.texts() == [
        "EXTEND_TIMEOUT_USEC=38000000",
        "STATUS=waiting 8 s, because 5 starts in a row have failed",
    ]


def test_a_supervisor_that_reads_during_the_pause_is_told_of_it_then(tmp_path: Path, systemd: Supervisor) -> None:
    """Else it would end the start after its TimeoutStartSec."""
    systemd.fill()
    heard = list[list[str]]()
    pause(tmp_path, systemd, FREE_RESTARTS + 3, lambda _: heard.append(systemd.texts()))
    assert heard == [
        [],
        ["EXTEND_TIMEOUT_USEC=38000000\nSTATUS=waiting 8 s, because 5 starts in a row have failed"],
    ]
