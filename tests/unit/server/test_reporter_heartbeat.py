"""The reporter's heartbeat, and a loop that sleeps when there is nothing to do."""

from __future__ import annotations

import threading

import msgspec
import pytest

from agent.core.driver import PrinterState
from agent.core.job import JobState, JobView
from agent.server import reporter as module
from agent.server.reporter import MAX_PAUSE
from tests.rigs.server_rig import COMMAND, LONG, PATIENCE, STATUS, Reply, ReporterRig


def test_the_status_is_told_at_once_on_each_change_and_not_in_between(rig: ReporterRig) -> None:
    rig.reporter.step()
    rig.reporter.step()
    assert [one["printer_status"] for one in rig.statuses()] == ["ready"]
    job = JobView(job_id="j", task_id="t", state=JobState.PRINTING, progress=0.1)
    rig.driver.now(state=PrinterState.PRINTING)
    rig.board.publish(job, "")
    rig.reporter.step()
    rig.board.publish(msgspec.structs.replace(job, progress=0.2, layer=9), "")
    rig.reporter.step()
    rig.driver.now(state=PrinterState.PAUSED, reason="filament is out")
    rig.board.publish(msgspec.structs.replace(job, state=JobState.PAUSED), "")
    rig.reporter.step()
    rig.driver.now(reason="the door is open")
    rig.reporter.step()
    assert [one["printer_status"] for one in rig.statuses()] == ["ready", "printing", "paused", "paused"]
    assert rig.statuses()[1]["job_id"] == "j"


def test_the_status_is_told_at_least_every_heartbeat(rig: ReporterRig) -> None:
    rig.reporter.step()
    for _ in range(3):
        rig.later(14.9)
        rig.later(0.1)
    assert len(rig.statuses()) == 4


def test_a_member_who_joins_hears_of_the_printer_at_once(rig: ReporterRig) -> None:
    rig.reporter.step()
    rig.reporter.request_status()
    assert rig.wake.is_set()
    rig.reporter.step()
    rig.reporter.step()
    assert len(rig.statuses()) == 2


def test_a_status_that_could_not_be_told_is_told_later(rig: ReporterRig) -> None:
    rig.reporter.step()
    rig.server.script(STATUS, Reply(500), Reply(hang_up=True), Reply())
    rig.reporter.request_status()
    rig.reporter.step()
    rig.later(14.0)
    rig.later(0.0)
    assert len(rig.statuses()) == 3, "again after the back-off, before the heartbeat"
    rig.clock.advance(LONG)
    rig.reporter.step()
    assert len(rig.statuses()) == 4


def test_a_status_that_is_refused_is_not_repeated_before_the_next_heartbeat(rig: ReporterRig) -> None:
    rig.server.script(STATUS, Reply(422), Reply())
    rig.reporter.step()
    rig.later(14.9)
    assert len(rig.statuses()) == 1
    rig.later(0.1)
    assert len(rig.statuses()) == 2


def test_the_heartbeat_does_not_wait_for_the_end_of_a_long_queue(rig: ReporterRig) -> None:
    for number in range(150):
        rig.task(f"t{number}", end=False)
    rig.reporter.step()
    place = [one.path == STATUS for one in rig.server.asked()].index(True)
    assert place == 100


def pauses(rig: ReporterRig) -> float:
    rig.reporter.step()
    return rig.reporter.seconds_until_due()


def test_the_loop_sleeps_when_there_is_nothing_to_do(rig: ReporterRig) -> None:
    """Not known yet, a server that is away, one that says «later»: none of them may keep the processor busy."""
    assert pauses(rig) == 15
    rig.clock.advance(10)
    assert pauses(rig) == 5
    rig.server.script(STATUS, Reply(500), Reply())
    rig.clock.advance(LONG)
    assert pauses(rig) <= 1
    rig.clock.advance(LONG)
    assert pauses(rig) == 15, "a trouble that is over is forgotten"
    rig.store.identities.forget(rig.server.url)
    rig.clock.advance(LONG)
    assert pauses(rig) == MAX_PAUSE
    rig.clock.advance(LONG)
    assert pauses(rig) == MAX_PAUSE


def test_the_loop_sleeps_while_the_server_is_away(rig: ReporterRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "delay", lambda attempt: 8.0)
    rig.server.usual = Reply(hang_up=True)
    rig.task("a")
    assert pauses(rig) == 8
    rig.clock.advance(5)
    assert pauses(rig) == 3
    rig.server.usual = Reply(503, headers={"Retry-After": "100"})
    rig.clock.advance(LONG)
    assert pauses(rig) == MAX_PAUSE


def test_the_loop_wakes_up_for_a_retry(rig: ReporterRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "delay", lambda attempt: 4.0)
    rig.server.script(COMMAND + "a", Reply(500), Reply())
    rig.task("a")
    assert pauses(rig) == 4
    rig.clock.advance(4)
    assert pauses(rig) == 11
    assert rig.told() == [("a", 0), ("a", 0), ("a", 1)]


def test_the_loop_runs_until_it_is_stopped_and_then_says_what_is_left(rig: ReporterRig) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=rig.reporter.run, args=(stop,), name="reporter")
    thread.start()
    rig.server.until(1, STATUS)
    rig.task("a")
    rig.wake.set()
    rig.server.until(2, COMMAND)
    rig.server.script(COMMAND + "b", Reply(500), Reply())
    rig.task("b", end=False)
    rig.wake.set()
    rig.server.until(1, COMMAND + "b")
    stop.set()
    rig.wake.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert rig.told("b") == [("b", 0), ("b", 0)]
    assert rig.store.outbox.overview() == []


@pytest.mark.parametrize("years", [-10, 10])
def test_a_wall_clock_that_jumps_changes_no_wait(rig: ReporterRig, years: int) -> None:
    rig.server.script(COMMAND + "a", Reply(429, headers={"Retry-After": "300"}), Reply())
    rig.task("a")
    rig.reporter.step()
    rig.clock.epoch += years * 365 * 86400
    rig.reporter.step()
    assert (len(rig.statuses()), rig.told()) == (1, [("a", 0)]), "nothing is due early"
    for _ in range(20):
        rig.later(14.9)
        rig.later(0.1)
    assert len(rig.statuses()) == 21, "each heartbeat in its time"
    rig.later(1.0)
    assert rig.told() == [("a", 0), ("a", 0), ("a", 1)]
