"""The slot between the link's thread and the driver's callers."""

from __future__ import annotations

import pytest

from agent.core.driver import Operation, Outcome, PrinterState
from agent.errors import NotReadyError
from drivers.gcode.slot import Slot

S = PrinterState


def test_an_update_of_a_field_that_does_not_exist_is_a_type_error_before_it_is_run() -> None:
    """mypy runs over the tests too: if `update` took any field, it would call these ignores unused."""
    slot = Slot()
    with pytest.raises(TypeError):
        slot.update(colour="red")  # type: ignore[call-arg]
    slot.update(state="idle")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        slot.claim(list(S), "print", lambda: None, key="t")  # type: ignore[call-arg]


def test_somebody_who_waits_is_woken_by_what_may_be_waited_for_only() -> None:
    slot, woken = Slot(), []
    slot.wake = lambda: woken.append(slot.read().state)
    slot.update(firmware="Marlin", machine="Test", port="/dev/ttyUSB0")
    assert woken == []
    slot.update(state=S.IDLE)
    slot.update(state=S.IDLE)
    assert woken == [S.IDLE]


def test_a_print_to_be_recovered_has_a_state_and_its_task_at_once() -> None:
    slot = Slot()
    slot.begin_recovery("t", 7, "finding out where the printer is")
    now = slot.read()
    assert (now.state, now.task_id, now.line) == (S.RECOVERING, "t", 7)
    with pytest.raises(NotReadyError, match="cannot cancel: the printer is recovering"):
        slot.claim((S.PRINTING,), "cancel", lambda: None, state=S.CANCELLING)
    slot.fail("t", "the printer cannot be found again")
    now = slot.read()
    assert (now.state, now.task_id) == (S.OFFLINE, "")
    assert now.last == Operation("t", Outcome.FAILED, "the printer cannot be found again")
