"""A slice of `python -m benchmarks.torture`: nothing lost, nothing twice, whatever breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.local.local_requests import OutboxRequest, StatusRequest
from agent.local.socket_client import ask
from benchmarks.agent_kills import torture, world
from benchmarks.commit_kills import points
from benchmarks.disk_writes import writes
from benchmarks.full_disk import full_disk, why_not
from benchmarks.reporter_outages import storm, week


def test_kill_9_at_any_instant_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    found = torture(tmp_path, kills=6, printing=2, seed=7, say=lambda _: None)
    assert found["while_printing"] == 2


@pytest.mark.parametrize("number", [2, 5, 11, 17])
def test_a_kill_before_and_after_a_commit_leaves_each_task_with_one_end(tmp_path: Path, number: int) -> None:
    """2 is the identity's commit, the others are somewhere in the tasks' lives."""
    assert points(tmp_path, [number])["kills"] == 2


def test_a_stormy_api_gets_all_reports_in_order_with_a_bounded_queue(tmp_path: Path) -> None:
    found = storm(tmp_path, hours=1.5, seed=7)
    assert set(found["faults"]) >= {"429", "500", "503", "reset", "reset after", "cut"}


def test_all_is_there_within_a_minute_after_a_long_absence(tmp_path: Path) -> None:
    assert week(tmp_path, days=0.3)["reports"] == 9


def test_a_token_that_dies_in_the_middle_of_a_print_costs_neither_the_print_nor_its_report(tmp_path: Path) -> None:
    """A new registration with a new code; the print goes on. The report goes out with the new token; here the server
    does not know the task under it, so it is kept aside with that answer."""
    with world(tmp_path, 3) as made:
        made.start()
        made.until("listening", lambda: ask(tmp_path / "agent.sock", StatusRequest())["status"]["listening"])
        made.send_print(moves=150)
        assert made.printing.wait(20)
        identity = json.loads((tmp_path / "state" / "identity.json").read_text())[0]
        made.proxy.dead.add(identity["auth_token"])

        def status() -> dict[str, Any]:
            return dict(ask(tmp_path / "agent.sock", StatusRequest())["status"])

        made.until("a new code", lambda: status()["registration"].get("code"))
        assert status()["printer_status"] == "printing", "the print goes on"
        made.until("what to do about it", lambda: "nobody has added" in status()["conditions"].get("token", ""))
        made.until("the print's end", lambda: status()["printer_status"] == "ready")
        made.until("all is told", lambda: status()["waiting_reports"] == 0)
        rows = ask(tmp_path / "agent.sock", OutboxRequest())["outbox"]
        assert [row["status"] for row in rows if row["kind"] == "terminal"] == [404]
        assert made.seen["task 0"] == 1


@pytest.mark.skipif(bool(why_not()), reason=why_not() or "possible")
def test_a_print_and_its_reports_survive_a_full_state_folder(tmp_path: Path) -> None:
    assert full_disk(tmp_path)["starts_on_a_full_disk"] == 2


def test_the_disk_is_written_to_once_a_second_at_most_while_printing_and_hardly_while_idle(tmp_path: Path) -> None:
    assert writes(tmp_path, printing=12.0, idle=4.0)["commits_a_minute_idle"] == 0
