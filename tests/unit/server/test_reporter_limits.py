"""The reporter's waits: what is counted as a failure, and for how long the failure is shown."""

from __future__ import annotations

from agent.server.reporter import MAX_PAUSE
from tests.rigs.server_rig import COMMAND, STATUS, Reply, ReporterRig


def test_a_report_whose_removal_the_disk_does_not_take_is_not_sent_again_with_each_step(rig: ReporterRig) -> None:
    rig.task("a", end=False)
    rig.store.database.execute("PRAGMA query_only = 1")
    for _ in range(3):
        rig.reporter.step()
    assert len(rig.told("a")) == 1


def test_an_answer_to_a_report_ends_the_series_of_calls_without_one(rig: ReporterRig) -> None:
    """The wait after a status that got no answer stays the first one, as long as reports are answered in between."""
    rig.server.script(STATUS, Reply(hang_up=True))
    waits = []
    for number in range(12):
        rig.task(f"t{number}", end=False)
        rig.reporter.step()
        waits.append(rig.reporter.seconds_until_due())
        rig.clock.advance(MAX_PAUSE)
    assert len(rig.server.asked(COMMAND)) == 12
    assert max(waits) <= 1.0


def test_a_refused_status_is_shown_until_one_is_taken(rig: ReporterRig) -> None:
    rig.server.script(STATUS, Reply(422), Reply())
    rig.reporter.step()
    rig.later(1.0)
    assert "422" in rig.conditions.read().first()
    rig.later(15.0)
    assert rig.conditions.read().first() == ""
