"""The pause before a start that follows failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.service import restart_pause
from agent.service.health import Health
from agent.service.restart_pause import FREE_RESTARTS, MAX_PAUSE, MIN_RUN, STARTS_FILE, pause_after
from agent.testing import FakeClock


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


def test_the_pause_is_waited_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    clock, slept, said = FakeClock(), list[float](), list[str]()
    health = Health(clock)
    monkeypatch.setattr(health, "_notify", said.append)
    for _ in range(FREE_RESTARTS + 2):
        restart_pause.wait_before_start(tmp_path, clock, health, sleep=slept.append)
    assert slept == [2.0]
    assert said == ["EXTEND_TIMEOUT_USEC=32000000", "STATUS=waiting 2 s, because 3 starts in a row have failed"]
