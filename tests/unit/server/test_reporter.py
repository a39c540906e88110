"""The reporter against a real server: the order of reports, and what each answer leads to."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from agent.core.command import Command, Name
from agent.server import reporter as module
from agent.server.api_client import TOKEN_HEADER
from tests.rigs.server_rig import COMMAND, STATUS, TOKEN, Reply, ReporterRig, answer

CODE = "/v1/print/printers/registration_code"


def test_reports_go_out_in_order_and_leave_the_queue(rig: ReporterRig) -> None:
    rig.task("a")
    rig.task("b")
    rig.reporter.step()
    assert rig.told("a") == [("a", 0), ("a", 1)]
    assert rig.told("b") == [("b", 0), ("b", 1)]
    assert rig.store.outbox.overview() == []


def test_each_report_has_the_token_a_type_and_a_key_of_its_own(rig: ReporterRig) -> None:
    rig.task("a")
    rig.reporter.step()
    asked = rig.server.asked(COMMAND)
    assert {one.headers[TOKEN_HEADER] for one in asked} == {TOKEN}
    assert {one.headers["Content-Type"] for one in asked} == {"application/json"}
    assert len({one.headers["Idempotency-Key"] for one in asked}) == 2


@pytest.mark.parametrize("status", [200, 204])
def test_200_and_204_are_taken(rig: ReporterRig, status: int) -> None:
    rig.server.usual = Reply(status)
    rig.task("a")
    rig.reporter.step()
    assert rig.store.outbox.overview() == []


@pytest.mark.parametrize("status", [400, 404, 405, 409, 410, 411, 413, 414, 415, 422])
def test_a_report_that_is_refused_for_good_is_kept_aside_and_the_next_goes_on(rig: ReporterRig, status: int) -> None:
    rig.server.script(COMMAND + "a", Reply(status, b"what was wrong"), Reply())
    rig.task("a")
    rig.reporter.step()
    assert rig.told() == [("a", 0), ("a", 1)]
    row = {"task_id": "a", "kind": "receipt", "waiting": False, "status": status, "answer": "what was wrong"}
    assert rig.store.outbox.overview() == [{**row, "id": 1}]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 301])
def test_later_means_again_with_the_same_key_and_before_what_follows(rig: ReporterRig, status: int) -> None:
    rig.server.script(COMMAND + "a", Reply(status), Reply(status), Reply())
    rig.task("a")
    rig.reporter.step()
    assert rig.told() == [("a", 0)], "not again at once, and the end waits for the receipt"
    rig.later()
    rig.later()
    assert rig.told() == [("a", 0), ("a", 0), ("a", 0), ("a", 1)]
    assert len({one.headers["Idempotency-Key"] for one in rig.server.asked(COMMAND)[:3]}) == 1
    assert rig.store.outbox.overview() == []


def test_a_retry_waits_longer_each_time_and_never_more_than_a_minute(rig: ReporterRig) -> None:
    schedule = module.Schedule(rig.clock)
    waits = [schedule.failed("a", None) for _ in range(200)]
    assert all(wait <= 2**n for n, wait in enumerate(waits))
    assert max(waits) <= 60
    assert len(set(waits)) == len(waits), "with jitter"
    schedule.succeeded("a")
    assert schedule.failed("a", None) <= 1


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("path", [COMMAND + "a", STATUS])
def test_retry_after_is_obeyed(rig: ReporterRig, form: str, path: str) -> None:
    value = "300" if form == "seconds" else formatdate(time.time() + 300, usegmt=True)  # the server's clock is right
    rig.server.script(path, Reply(429, headers={"Retry-After": value}), Reply())
    rig.task("a", end=False)
    rig.reporter.step()
    for _ in range(4):
        rig.later(74.0)
    assert len(rig.server.asked(path)) == 1
    rig.later(5.0)
    assert len(rig.server.asked(path)) == 2


@pytest.mark.parametrize("value", ["0", formatdate(0, usegmt=True)], ids=["seconds", "a date that has passed"])
@pytest.mark.parametrize("path", [COMMAND + "a", STATUS])
def test_a_retry_after_of_nothing_is_no_leave_to_try_at_once(rig: ReporterRig, value: str, path: str) -> None:
    rig.server.script(path, Reply(503, headers={"Retry-After": value}))
    rig.task("a", end=False)
    for _ in range(20):
        rig.reporter.step()
    assert len(rig.server.asked(path)) == 1
    rig.later()
    assert len(rig.server.asked(path)) == 2
    rig.reporter.step()
    assert len(rig.server.asked(path)) == 2


def test_a_server_that_wants_no_wait_gets_the_back_off_all_the_same(rig: ReporterRig) -> None:
    schedule = module.Schedule(rig.clock)
    waits = [schedule.failed("a", 0.0) for _ in range(200)]
    assert all(wait > 0 for wait in waits)
    assert sum(waits[10:]) / 190 > 10, "it grows as it would without that"


def test_a_refused_report_that_a_person_sends_again_has_the_key_it_had(rig: ReporterRig) -> None:
    rig.server.script(COMMAND + "a", Reply(422), Reply())
    rig.task("a", end=False)
    rig.reporter.step()
    assert rig.store.outbox.retry(None) == 1
    rig.reporter.step()
    first, second = rig.server.asked(COMMAND)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body
    assert rig.store.outbox.overview() == []


def test_one_tasks_trouble_does_not_hold_back_anothers(rig: ReporterRig) -> None:
    rig.server.script(COMMAND + "a", Reply(500))
    rig.task("a")
    rig.task("b")
    rig.reporter.step()
    assert rig.told("b") == [("b", 0), ("b", 1)]
    assert rig.told("a") == [("a", 0)]
    assert rig.statuses()


def test_more_troubled_tasks_than_a_page_hold_back_nobody(rig: ReporterRig) -> None:
    for number in range(120):
        rig.task(f"bad{number}", end=False)
        rig.server.script(f"{COMMAND}bad{number}", Reply(500))
    rig.task("good")
    rig.reporter.step()
    assert rig.told("good") == [("good", 0), ("good", 1)]


@pytest.mark.parametrize("status", [401, 403])
def test_a_dead_token_is_forgotten_and_the_report_waits_for_the_new_one(rig: ReporterRig, status: int) -> None:
    rig.server.script(COMMAND + "a", Reply(status), Reply())
    rig.server.script(CODE, Reply(status))
    rig.task("a", end=False)
    rig.reporter.step()
    assert rig.lost == [True]
    rig.later()
    assert rig.told() == [("a", 0)], "nobody is anybody now"
    assert rig.statuses() == []
    rig.know("N" * 43, 8)
    rig.later()
    assert rig.told() == [("a", 0), ("a", 0)]
    first, second = rig.server.asked(COMMAND)
    assert second.headers[TOKEN_HEADER] == "N" * 43
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert rig.store.outbox.overview() == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_stray_refusal_of_one_report_is_an_answer_to_try_again_after(rig: ReporterRig, status: int) -> None:
    """The server knows the token when it is asked: what refused was something on the way, perhaps by the content."""
    rig.server.script(COMMAND + "a", Reply(status), Reply(status), Reply())
    rig.server.script(CODE, answer({"printer_id": 7, "registered": True}))
    rig.task("a", end=False)
    rig.task("b", end=False)
    rig.reporter.step()
    assert rig.lost == []
    assert rig.told() == [("a", 0), ("b", 0)], "the other task and the status are not held back"
    assert len(rig.statuses()) == 1
    assert rig.conditions.read().first() == f"cloud: the server answers {status}"
    rig.later()
    rig.later()
    assert rig.told("a") == [("a", 0)] * 3
    assert {one.headers[TOKEN_HEADER] for one in rig.server.asked()} == {TOKEN}
    assert len({one.headers["Idempotency-Key"] for one in rig.server.asked(COMMAND + "a")}) == 1
    assert rig.store.outbox.overview() == []


def test_a_portal_that_refuses_everything_is_waited_for(rig: ReporterRig) -> None:
    """The token is asked about, refused, and asked for without it: refused too. The printer stays the one it is."""
    rig.server.usual = Reply(403)
    rig.server.script(CODE, Reply(503))
    rig.task("a", end=False)
    rig.reporter.step()
    for _ in range(3):
        rig.later()
    assert rig.lost == []
    rig.server.usual = Reply()
    rig.later()
    assert rig.store.outbox.overview() == []


def test_a_server_that_gives_no_answer_holds_back_all_until_it_does(rig: ReporterRig) -> None:
    rig.server.usual = Reply(hang_up=True)
    rig.task("a")
    rig.task("b")
    rig.reporter.step()
    rig.reporter.step()
    assert len(rig.server.asked()) == 1
    rig.later()
    assert len(rig.server.asked()) == 2
    rig.server.usual = Reply()
    rig.later()
    assert rig.store.outbox.overview() == []
    assert len(rig.statuses()) == 1


def test_a_second_delivery_repeats_the_last_report_under_its_key(rig: ReporterRig) -> None:
    rig.task("a")
    rig.reporter.step()
    assert not rig.store.tasks.accept(Command("a", Name.HOME, "home"), b"{}")
    rig.reporter.step()
    assert rig.told() == [("a", 0), ("a", 1), ("a", 1)]
    keys = [one.headers["Idempotency-Key"] for one in rig.server.asked(COMMAND)]
    assert keys[1] == keys[2] != keys[0]


def test_a_disk_that_does_not_take_a_write_stops_neither_the_others_nor_the_heartbeat(rig: ReporterRig) -> None:
    rig.task("a", end=False)
    rig.task("b", end=False)
    rig.store.database.execute("PRAGMA query_only = 1")
    rig.reporter.step()
    assert {task for task, _ in rig.told()} == {"a", "b"}
    assert rig.statuses()
    rig.store.database.execute("PRAGMA query_only = 0")
    rig.later()
    assert rig.store.outbox.overview() == []
    assert len({one.headers["Idempotency-Key"] for one in rig.server.asked(COMMAND)}) == 2


def test_too_many_requests_holds_back_all_reports_but_not_the_heartbeat(rig: ReporterRig) -> None:
    """Six tasks do not try six times; but the cloud must not take the printer for gone."""
    rig.server.script(COMMAND + "a", Reply(500), Reply())
    rig.server.script(COMMAND + "b", Reply(429, headers={"Retry-After": "100"}), Reply())
    for name in "abcdef":
        rig.task(name)
    rig.reporter.step()
    assert rig.told() == [("a", 0), ("b", 0)]
    for count in range(6):
        assert rig.reporter.seconds_until_due() >= 14.9, "no busy waiting for the one that would be due"
        rig.later(15)
        assert len(rig.statuses()) == 2 + count
    assert len(rig.told()) == 2
    rig.later(10)
    assert rig.store.outbox.overview() == []
