"""The stop inhibitor: who holds it is waited for, and nobody gets it after a stop has begun."""

from __future__ import annotations

import threading

from agent.service.stop_inhibitor import StopInhibitor
from agent.testing import FakeClock

PATIENCE = 20.0


def test_nobody_is_waited_for_until_it_is_held() -> None:
    inhibitor = StopInhibitor(FakeClock())
    assert inhibitor.wait(PATIENCE) == ""
    assert inhibitor.hold("writing", 60)
    assert inhibitor.wait(0) == "writing"
    assert not inhibitor.hold("another", 60), "one at a time"
    inhibitor.release()
    assert inhibitor.wait(PATIENCE) == ""
    assert inhibitor.hold("another", 60)


def test_a_stop_that_has_begun_grants_none_and_waits_for_the_one_that_was_granted() -> None:
    inhibitor = StopInhibitor(FakeClock())
    assert inhibitor.hold("writing", 60)
    inhibitor.close()
    assert inhibitor.wait(0) == "writing"
    inhibitor.release()
    assert not inhibitor.hold("writing", 60)


def test_nobody_is_waited_for_longer_than_was_granted() -> None:
    clock = FakeClock()
    inhibitor = StopInhibitor(clock)
    inhibitor.hold("writing", 60)
    clock.advance(59)
    assert inhibitor.wait(0) == "writing"
    clock.advance(1)
    assert inhibitor.wait(0) == ""


def test_a_release_wakes_who_waits() -> None:
    inhibitor = StopInhibitor(FakeClock())
    inhibitor.hold("writing", 60)
    waits = threading.Thread(target=inhibitor.wait, args=(PATIENCE * 10,), daemon=True)
    waits.start()
    waits.join(0.1)
    assert waits.is_alive()
    inhibitor.release()
    waits.join(PATIENCE)
    assert not waits.is_alive()
