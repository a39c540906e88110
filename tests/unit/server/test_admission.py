"""A flood of commands costs neither disk nor control."""

from __future__ import annotations

import pytest

from agent.core.command import Command, Name
from agent.server.admission import BURST, RATE, REPEATED_S, Admission
from agent.server.subscriber import is_urgent
from agent.testing import FakeClock


def stop(name: Name, job_id: str = "") -> Command:
    return Command(task_id="t", name=name, raw_name=str(name), job_id=job_id)


def flooded(job: str = "mine") -> tuple[Admission, FakeClock]:
    """An admission that has taken as many pauses as come at once."""
    clock = FakeClock()
    admission = Admission(clock, lambda: job)
    assert all(admission.admits_stop(stop(Name.PAUSE)) for _ in range(BURST))
    return admission, clock


def test_repeated_pauses_in_a_flood_are_left_out() -> None:
    admission, clock = flooded()
    assert not any(admission.admits_stop(stop(Name.PAUSE, "mine")) for _ in range(1000))
    clock.advance(REPEATED_S)
    assert admission.admits_stop(stop(Name.PAUSE))


def test_the_first_cancel_in_a_flood_of_pauses_is_accepted() -> None:
    admission, _ = flooded()
    assert admission.admits_stop(stop(Name.CANCEL))
    assert not admission.admits_stop(stop(Name.CANCEL))


def test_a_pause_after_a_resume_is_no_repetition() -> None:
    admission, _ = flooded()
    for _ in range(3):
        admission.admits_stop(stop(Name.RESUME))
    assert admission.admits_stop(stop(Name.PAUSE))


def test_pauses_and_resumes_in_turn_have_an_end() -> None:
    admission, clock = flooded()
    admitted = 0
    for number in range(1000):
        clock.advance(0.001)
        admitted += admission.admits_stop(stop((Name.PAUSE, Name.RESUME)[number % 2]))
    assert admitted <= 2 + RATE + 2


def test_what_a_flood_of_pauses_and_resumes_ends_with_counts() -> None:
    admission, clock = flooded()
    for number in range(1000):
        admission.admits_stop(stop((Name.PAUSE, Name.RESUME)[number % 2]))
    assert admission.take_late() is None, "not yet: one was accepted just now"
    clock.advance(REPEATED_S)
    late = admission.take_late()
    assert late is not None
    assert late.name is Name.RESUME
    assert admission.take_late() is None


def test_what_came_late_is_forgotten_when_something_else_was_accepted() -> None:
    admission, clock = flooded()
    assert not admission.admits_stop(stop(Name.PAUSE))
    assert admission.admits_stop(stop(Name.RESUME))
    clock.advance(REPEATED_S)
    assert admission.take_late() is None


def test_stops_of_another_job_count_as_ordinary_commands_and_take_no_place() -> None:
    clock = FakeClock()
    admission = Admission(clock, lambda: "mine")
    taken = sum(admission.admits_stop(stop(Name.CANCEL, "another")) for _ in range(1000))
    assert taken == BURST
    assert not admission.admits()
    assert admission.admits_stop(stop(Name.CANCEL, "mine"))


def test_a_cancel_of_the_next_job_is_no_repetition() -> None:
    job = "first"
    clock = FakeClock()
    admission = Admission(clock, lambda: job)
    for _ in range(2 * BURST):
        admission.admits_stop(stop(Name.CANCEL))
    assert not admission.admits_stop(stop(Name.CANCEL))
    job = "second"
    assert admission.admits_stop(stop(Name.CANCEL))


@pytest.mark.parametrize(
    ("source", "urgent"),
    [
        (b'{"channel":"/c","data":{"command":"cancel","task_id":"t"}}', True),
        (b'{"channel":"/c","data":{"task_id":"t", "command" : "pause"}}', True),
        (b'{"channel":"/c","data":"{\\"command\\": \\"reset\\"}"}', True),
        (b'{"channel":"/c","data":{"command":"home","task_id":"cancel"}}', False),
        (b'{"channel":"/c","data":{"command":"cancellation"}}', False),
    ],
)
def test_what_stops_the_printer_is_known_by_its_text(source: bytes, urgent: bool) -> None:
    assert is_urgent(source) is urgent
