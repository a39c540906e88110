"""The inbox: whatever is delivered is written down once, with what the cloud is told, before anybody is woken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Command, Name
from agent.core.report_bodies import Kind
from agent.core.task import TaskEvent, TaskState
from agent.errors import UnavailableError
from agent.server.admission import BURST, RATE
from agent.server.inbox import PENDING_LIMIT, REPORTS_LIMIT
from agent.testing import FakeClock
from tests.support.cloud_side import make_inbox
from tests.support.store import open_store


class InboxRig:
    """An inbox on a real store; notes what the ledger held at each wake-up."""

    def __init__(self, path: Path) -> None:
        self.clock = FakeClock()
        self.store = open_store(path, self.clock)
        self.inbox = make_inbox(self.store, self.wake, clock=self.clock)
        self.woken: list[int] = []

    def wake(self) -> None:
        self.woken.append(sum(len(self.store.tasks.in_state(state)) for state in TaskState))

    def reports(self) -> list[tuple[str, dict[str, Any]]]:
        """What would be sent, oldest first."""
        found = []
        while heads := self.store.outbox.heads():
            found.append((str(heads[0].kind), json.loads(heads[0].body)))
            self.store.outbox.acknowledge(heads[0])
        return found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[InboxRig]:
    made = InboxRig(tmp_path / "agent.db")
    yield made
    made.store.close()


def test_a_command_is_written_down_with_its_receipt_and_then_somebody_is_woken(rig: InboxRig) -> None:
    assert rig.inbox.accept({"task_id": "t", "command": "pause", "job_id": "j"})
    assert rig.woken == [1]
    (task,) = rig.store.tasks.in_state(TaskState.RECEIVED)
    assert (task.command.name, task.command.job_id, task.local) == (Name.PAUSE, "j", False)
    ((kind, body),) = rig.reports()
    assert (kind, body["progress"], body["data"]["state"], body["job_id"]) == ("receipt", 0.0, "received", "j")


def test_a_string_that_holds_the_command_works_as_well(rig: InboxRig) -> None:
    assert rig.inbox.accept('{"task_id": "t", "command": "home"}')
    assert len(rig.store.tasks.in_state(TaskState.RECEIVED)) == 1


def test_a_second_delivery_does_nothing_but_repeat_the_last_report(rig: InboxRig) -> None:
    message = {"task_id": "t", "command": "home"}
    rig.inbox.accept(message)
    rig.store.outbox.acknowledge(rig.store.outbox.heads()[0])
    rig.store.tasks.end("t", TaskEvent.COMPLETE, b'{"progress": 1}')
    (first,) = rig.store.outbox.heads()
    rig.store.outbox.acknowledge(first)
    assert not rig.inbox.accept(message)
    assert not rig.inbox.accept(message)
    (again,) = rig.store.outbox.heads()
    assert (again.kind, again.body, again.key) == (Kind.TERMINAL, first.body, first.key)
    assert len(rig.store.outbox.overview()) == 1
    assert rig.store.tasks.in_state(TaskState.RECEIVED) == []


@pytest.mark.parametrize("name", ["home", "levitate", 7])
def test_each_delivery_wakes_whoever_sends_the_report(rig: InboxRig, name: object) -> None:
    """Its last report goes at once, and not with the next heartbeat."""
    message = {"task_id": "t", "command": name}
    for deliveries in range(1, 4):
        assert rig.inbox.accept(message) is (deliveries == 1)
        assert len(rig.woken) == deliveries
        assert rig.store.outbox.heads() != []
        for _ in rig.reports():
            pass


def test_an_unknown_command_gets_one_report_that_says_so(rig: InboxRig) -> None:
    assert rig.inbox.accept({"task_id": "t", "command": "levitate"})
    ((kind, body),) = rig.reports()
    assert kind == "terminal"
    assert (body["progress"], body["error_code"], body["error_message"]) == (1.0, 404, "unknown command")
    assert [task.command.raw_name for task in rig.store.tasks.in_state(TaskState.FAILED)] == ["levitate"]


def test_a_malformed_command_with_a_task_id_is_answered_with_the_reason(rig: InboxRig) -> None:
    assert rig.inbox.accept({"task_id": "t", "command": "print_data", "file_url": "file:///etc/passwd"})
    (_, receipt), (_, terminal) = rig.reports()
    assert receipt["progress"] == 0.0
    assert (terminal["progress"], terminal["error_code"]) == (1.0, 422)
    assert terminal["error_message"] == "file_url: expected http:// or https://"
    assert terminal["data"]["state"] == "failed"
    assert rig.woken == [1]


@pytest.mark.parametrize("message", [None, 7, "x", b"\xff", [], {}, {"command": "pause"}, {"task_id": "../x"}])
def test_a_message_that_nobody_can_be_told_about_is_dropped(rig: InboxRig, message: object) -> None:
    assert not rig.inbox.accept(message)
    assert rig.store.outbox.overview() == []
    assert rig.woken == []


def test_a_local_command_has_no_one_to_report_to(rig: InboxRig) -> None:
    assert rig.inbox.accept_local(Command(task_id="local-1", name=Name.HOME, raw_name="home"))
    assert rig.woken == [1]
    (task,) = rig.store.tasks.in_state(TaskState.RECEIVED)
    assert task.local
    assert rig.reports() == []


def test_a_command_that_cannot_be_written_down_wakes_nobody(rig: InboxRig) -> None:
    rig.store.database.execute("PRAGMA query_only = 1")
    with pytest.raises(UnavailableError):
        rig.inbox.accept({"task_id": "t", "command": "home"})
    assert rig.woken == []


def test_a_command_that_the_disk_does_not_take_is_kept_and_written_down_in_its_turn(rig: InboxRig) -> None:
    rig.store.database.execute("PRAGMA query_only = 1")
    rig.inbox.enqueue({"task_id": "a", "command": "pause"})
    rig.inbox.enqueue({"task_id": "b", "command": "resume"})
    assert rig.woken == []
    rig.store.database.row("PRAGMA query_only = 0")
    rig.inbox.enqueue({"task_id": "c", "command": "cancel"})
    assert [task.command.task_id for task in rig.store.tasks.in_state(TaskState.RECEIVED)] == ["a", "b", "c"]
    rig.inbox.retry_pending()
    assert rig.woken == [1, 2, 3]


NOW = 1_456_833_600.0


@pytest.mark.parametrize(
    ("sent", "old"),
    [
        (NOW - 3601, True),
        (NOW - 3599, False),
        ((NOW - 3601) * 1000, True),
        ("2016-03-01T10:59:59Z", True),
        ("2016-03-01T12:59:58+02:00", True),
        ("2016-03-01 11:59:59", False),
        (NOW + 1e6, False),
        ("yesterday", False),
        (True, False),
        (-5, False),
        (1e300, False),
    ],
)
@pytest.mark.parametrize("key", ["sent_at", "timestamp"])
def test_a_command_that_the_server_sent_too_long_ago_is_refused(
    tmp_path: Path, key: str, sent: object, old: bool
) -> None:
    """By the server's own clock; what is no time does not cost a command."""
    rig = InboxRig(tmp_path / "agent.db")
    rig.inbox = make_inbox(rig.store, rig.wake, max_age=3600.0, server_now=lambda: NOW)
    assert rig.inbox.accept({"task_id": "t", "command": "home", key: sent})
    assert [kind for kind, _ in rig.reports()] == (["receipt", "terminal"] if old else ["receipt"])
    assert bool(rig.store.tasks.in_state(TaskState.FAILED)) == old
    assert not rig.inbox.accept({"task_id": "t", "command": "home", key: sent}), "a second delivery is not new"
    ((_, body),) = rig.reports()
    assert (body.get("error_code"), "too old" in body.get("error_message", "")) == (
        (410, True) if old else (None, False)
    )
    rig.store.close()


def test_without_the_servers_time_no_command_is_too_old(rig: InboxRig) -> None:
    assert rig.inbox.accept({"task_id": "t", "command": "home", "sent_at": 1})
    assert len(rig.store.tasks.in_state(TaskState.RECEIVED)) == 1


def commands_of(rig: InboxRig) -> list[str]:
    return [task.command.task_id for task in rig.store.tasks.in_state(TaskState.RECEIVED)]


def test_a_flood_is_dropped_unwritten_and_what_stops_the_printer_is_not(rig: InboxRig) -> None:
    """Two thousand commands of 60 kB made a ledger of 119 MB."""
    for number in range(2000):
        rig.inbox.enqueue({"task_id": f"t{number}", "command": "settings", "settings": {"x": "y" * 60_000}})
    for name in ("pause", "resume", "cancel", "reset"):
        rig.inbox.enqueue({"task_id": name, "command": name})
    assert commands_of(rig) == [*(f"t{number}" for number in range(BURST)), "pause", "resume", "cancel", "reset"]
    assert sum(path.stat().st_size for path in rig.store.database.path.parent.iterdir()) < 4 << 20
    rig.clock.advance(3 / RATE)
    for number in range(10):
        rig.inbox.enqueue({"task_id": f"later{number}", "command": "home"})
    assert commands_of(rig)[-3:] == ["later0", "later1", "later2"]


def test_a_server_that_takes_no_report_gives_no_more_work_and_still_stops_the_printer(rig: InboxRig) -> None:
    with rig.store.database.transaction():
        for number in range(REPORTS_LIMIT):
            rig.store.tasks.accept(Command(task_id=f"t{number}", name=Name.HOME, raw_name="home"), b"r")
    assert not rig.inbox.accept({"task_id": "more", "command": "home"})
    assert rig.inbox.accept({"task_id": "stop", "command": "cancel"})
    assert commands_of(rig)[-1] == "stop"
    assert rig.store.outbox.pending_count() == REPORTS_LIMIT


def test_a_cancel_is_kept_in_memory_whatever_comes_after_it(rig: InboxRig) -> None:
    rig.store.database.execute("PRAGMA query_only = 1")
    rig.inbox.enqueue({"task_id": "stop", "command": "cancel"})
    for number in range(3 * PENDING_LIMIT):
        rig.inbox.enqueue({"task_id": f"t{number}", "command": "home"})
    rig.store.database.row("PRAGMA query_only = 0")
    rig.inbox.retry_pending()
    assert commands_of(rig)[0] == "stop"
    assert len(commands_of(rig)) <= PENDING_LIMIT


PRINT = {"task_id": "p", "command": "print_data", "file_url": "http://127.0.0.1/f"}


def errors_of(rig: InboxRig) -> list[int]:
    return [body["error_code"] for _, body in rig.reports() if body.get("error_code")]


@pytest.mark.parametrize(("sent", "refused"), [(NOW - 599, False), (NOW - 601, True)])
def test_a_print_is_refused_at_an_age_of_its_own(tmp_path: Path, sent: float, refused: bool) -> None:
    rig = InboxRig(tmp_path / "agent.db")
    rig.inbox = make_inbox(rig.store, rig.wake, max_age=3600.0, start_within=600.0, server_now=lambda: NOW)
    rig.inbox.accept({**PRINT, "sent_at": sent})
    rig.inbox.accept({"task_id": "h", "command": "home", "sent_at": sent})
    assert errors_of(rig) == ([410] if refused else [])
    if not refused:
        (task, _) = rig.store.tasks.in_state(TaskState.RECEIVED)
        assert task.age == pytest.approx(599, abs=1), "what it was old counts on"
    rig.store.close()


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        (PRINT, True),
        ({**PRINT, "sent_at": NOW - 5}, False),
        ({"task_id": "d", "command": "dismiss"}, True),
        ({"task_id": "d", "command": "dismiss", "job_id": "j"}, False),
        ({"task_id": "h", "command": "home"}, False),
    ],
)
def test_what_was_missed_and_has_no_date_does_not_start_anything(
    tmp_path: Path, message: dict[str, object], refused: bool
) -> None:
    rig = InboxRig(tmp_path / "agent.db")
    rig.inbox = make_inbox(rig.store, rig.wake, max_age=3600.0, start_within=600.0, server_now=lambda: NOW)
    rig.inbox.accept(message, missed=True)
    assert errors_of(rig) == ([410] if refused else [])
    rig.store.close()


def test_a_print_that_waited_for_the_disk_is_as_old_as_its_receipt(tmp_path: Path) -> None:
    rig = InboxRig(tmp_path / "agent.db")
    clock = FakeClock()
    rig.inbox = make_inbox(rig.store, rig.wake, clock=clock, max_age=3600.0, start_within=600.0)
    accept = rig.store.tasks.accept
    rig.store.tasks.accept = lambda *_, **__: _full()  # type: ignore[method-assign]
    rig.inbox.enqueue(PRINT)
    rig.store.tasks.accept = accept  # type: ignore[method-assign]
    clock.advance(601)
    rig.inbox.retry_pending()
    assert errors_of(rig) == [410]
    rig.store.close()


def _full() -> bool:
    raise UnavailableError("full")
