"""settings, request_settings and the settings of a job, with a printer whose answers the test gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Name
from agent.core.driver import Outcome, PrinterState, QueryAnswer
from agent.core.task import TaskState
from agent.errors import NotReadyError
from agent.runner.printer_query import AGAIN_S, QUERY_MAY_TAKE
from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig, ScriptedDriver

S = PrinterState
M503 = ("echo:  M204 P1500.00 R1500.00 T1500.00", "echo:  M201 X3000.00 Y3000.00 Z100.00 E10000.00")


class AskedDriver(ScriptedDriver):
    """A printer that can be asked; the test answers."""

    def __init__(self) -> None:
        super().__init__()
        self.queries: list[tuple[str, list[str]]] = []

    def query(self, query_id: str, lines: Sequence[str]) -> None:
        """Noted; `answer` answers the last one."""
        if self.slot.state is not S.IDLE:
            raise NotReadyError(f"cannot query: {self.slot.state}")
        self.queries.append((query_id, list(lines)))

    def answer(self, *said: tuple[str, ...], complete: bool = True) -> None:
        """The printer's answers to the last lines of the last query; the others are answered with `ok` alone."""
        query_id, lines = self.queries[-1]
        texts = ((),) * (len(lines) - len(said)) + said
        self.now(query=QueryAnswer(query_id, texts, complete))


class AskedRig(RunnerRig):
    """A runner with such a printer."""

    driver = AskedDriver

    @property
    def asked(self) -> AskedDriver:
        """The printer."""
        assert isinstance(self.printer, AskedDriver)
        return self.printer


@pytest.fixture
def rig(tmp_path: Path, store: Store) -> AskedRig:
    made = AskedRig(tmp_path, store)
    made.printer.now(dialect="marlin")
    return made


def begin(rig: AskedRig, settings: dict[str, Any], task_id: str = "") -> str:
    """A command that has begun."""
    task_id = rig.task(Name.SETTINGS, task_id, settings=settings)
    rig.runner.step()
    return task_id


def printing(rig: AskedRig, **settings: Any) -> str:
    """A print that the printer is about to begin."""
    task_id = rig.print(settings=settings)
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    return task_id


def test_settings_are_set_asked_for_and_kept(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500, "speed_percent": 120})
    assert rig.asked.queries[-1][1] == ["M220 S120", "M204 P1500", "M220", "M503"]
    assert rig.store.settings.read() == {}, "not before the printer has taken them"
    rig.asked.answer(("FR:120%",), M503)
    rig.runner.step()
    body = rig.end(task_id)
    assert body["data"]["settings"] == {"print_acceleration": 1500, "speed_percent": 120}
    assert body["data"]["message"] == "set"


def test_what_was_not_taken_fails_by_name_and_is_not_kept(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 500, "max_acceleration_x": 3000})
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 500
    assert "print_acceleration: 500 was set, the printer has 1500; set: max_acc" in rig.end(task_id)["error_message"]
    assert rig.store.settings.read() == {"max_acceleration_x": 3000}


def test_what_something_else_took_the_place_of_is_asked_again(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500})
    rig.asked.answer(complete=False)
    rig.runner.step()
    rig.runner.step()
    assert len(rig.asked.queries) == 1, "not at once"
    rig.clock.advance(AGAIN_S)
    rig.runner.step()
    assert len(rig.asked.queries) == 2
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.end(task_id)["data"]["state"] == "completed"


def test_a_printer_that_does_not_answer_fails_the_command_after_a_minute(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500})
    rig.clock.advance(QUERY_MAY_TAKE)
    rig.runner.step()
    assert (rig.end(task_id)["error_code"], rig.store.settings.read()) == (503, {})


def test_an_answer_to_another_question_is_none(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500})
    rig.printer.now(query=QueryAnswer("of somebody else", (M503, M503), True))
    rig.runner.step()
    assert rig.state(task_id) is TaskState.RUNNING


def test_a_script_that_begins_meanwhile_has_them_set_before_the_next_print(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500})
    rig.task(Name.HOME)
    rig.runner.step()
    rig.runner.step()
    assert rig.end(task_id)["data"]["message"] == "kept; set before the next print: the printer is busy now"
    assert rig.store.settings.read() == {"print_acceleration": 1500}


def test_a_babystep_is_not_done_later(rig: AskedRig) -> None:
    task_id = begin(rig, {"babystep_z": 0.05})
    rig.task(Name.HOME)
    rig.runner.step()
    rig.runner.step()
    assert rig.end(task_id)["error_code"] == 409


def test_an_agent_that_stops_meanwhile_says_so(rig: AskedRig) -> None:
    task_id = begin(rig, {"print_acceleration": 1500})
    rig.stop()
    assert rig.end(task_id)["error_message"] == "settings: the agent was stopped"


@pytest.mark.parametrize("state", [S.OFFLINE, S.ERROR, S.PRINTING])
def test_a_printer_that_is_not_idle_gets_them_later(rig: AskedRig, state: PrinterState) -> None:
    rig.printer.now(state=state)
    task_id = begin(rig, {"print_acceleration": 900})
    assert rig.end(task_id)["data"]["message"] == f"kept; set before the next print: the printer is {state} now"
    asked = rig.task(Name.REQUEST_SETTINGS)
    rig.runner.step()
    assert rig.end(asked)["data"]["settings"] == {"print_acceleration": 900}
    assert f"which is {state}, was not asked" in rig.end(asked)["data"]["message"]


def test_settings_that_come_while_a_print_waits_for_its_file_are_set_before_it(rig: AskedRig) -> None:
    rig.print()
    task_id = begin(rig, {"print_acceleration": 900})  # both in one step: the file is not here yet
    assert rig.end(task_id)["data"]["message"] == "kept; set before the next print: another command has the printer"
    assert rig.woken.wait(5)
    rig.runner.step()
    assert "M204 P900" in rig.asked.queries[-1][1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"save": True}, "save: only where [job] allow has 'eeprom'"),
        ({"nozzle_pid_p": 20}, "nozzle_pid_p: only where [job] allow has 'guards'"),
        ({"max_velocity": 100}, "firmware has not: max_velocity"),
        ({"colour": 1}, "no such setting: colour"),
    ],
)
def test_what_cannot_be_is_refused_unasked(rig: AskedRig, settings: dict[str, Any], says: str) -> None:
    task_id = begin(rig, settings)
    assert (rig.end(task_id)["error_code"], rig.asked.queries) == (422, [])
    assert says in rig.end(task_id)["error_message"]


def test_the_eeprom_is_written_when_all_were_taken_and_the_owner_allows_it(tmp_path: Path, store: Store) -> None:
    rig = AskedRig(tmp_path, store, 'job.allow=["eeprom"]')
    rig.printer.now(dialect="marlin")
    task_id = begin(rig, {"print_acceleration": 1500, "save": True})
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.state(task_id) is TaskState.RUNNING
    assert rig.asked.queries[-1][1] == ["M500"]
    rig.asked.answer(("echo:Settings Stored",))
    rig.runner.step()
    assert rig.end(task_id)["data"]["message"] == "set and saved in the printer"
    alone = begin(rig, {"save": True}, "alone")
    for _ in range(2):
        rig.asked.answer()
        rig.runner.step()
    assert rig.end(alone)["data"]["state"] == "completed"
    refused = begin(rig, {"print_acceleration": 500, "save": True}, "second")
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.end(refused)["error_code"] == 500
    assert [lines for _, lines in rig.asked.queries].count(["M500"]) == 2


def test_request_settings_tells_what_the_printer_has_over_what_is_kept(rig: AskedRig) -> None:
    rig.store.settings.update({"print_acceleration": 900, "fan_percent": 20})
    task_id = rig.task(Name.REQUEST_SETTINGS)
    rig.runner.step()
    assert rig.asked.queries[-1][1] == ["M220", "M221", "M503"]
    rig.asked.answer(("FR:100%",), (), M503)
    rig.runner.step()
    data = rig.end(task_id)["data"]
    assert data["settings"]["print_acceleration"] == 1500
    assert (data["settings"]["fan_percent"], data["settings"]["max_acceleration_e"]) == (20, 10000)
    assert data["message"] == "read from the printer; as kept here: fan_percent"


def test_request_settings_of_a_printer_that_is_silent_gives_what_is_kept(rig: AskedRig) -> None:
    rig.store.settings.update({"print_acceleration": 900})
    task_id = rig.task(Name.REQUEST_SETTINGS)
    rig.runner.step()
    rig.clock.advance(QUERY_MAY_TAKE)
    rig.runner.step()
    data = rig.end(task_id)["data"]
    assert (data["settings"], data["message"]) == (
        {"print_acceleration": 900},
        "as kept here; the printer, which is idle, did not answer",
    )


# --- the settings of a job


def test_a_print_that_wants_nothing_asks_nothing(rig: AskedRig) -> None:
    printing(rig)
    assert (rig.asked.queries, rig.printer.preamble) == ([], ["M220 S100", "M221 S100"])


def test_what_a_job_changes_is_put_back_before_the_next_one(rig: AskedRig) -> None:
    first = printing(rig, print_acceleration=800, speed_percent=150)
    assert rig.asked.queries[-1][1] == ["M503"]
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.store.settings.overridden() == {"print_acceleration": 1500}, "before it is changed"
    assert rig.asked.queries[-1][1] == ["M220 S150", "M221 S100", "M204 P800", "M220", "M221", "M503"]
    rig.asked.answer(("FR:150%",), (), ("echo:  M204 P800.00 R1500.00 T1500.00",))
    rig.runner.step()
    assert rig.printer.preamble == ["M220 S150", "M221 S100", "M204 P800"]
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert "message" not in rig.end(first)["data"] or "not taken" not in rig.end(first)["data"]["message"]


def test_the_next_job_sets_back_what_the_one_before_it_has_changed(rig: AskedRig) -> None:
    rig.store.settings.replace_overridden({"print_acceleration": 1500})
    printing(rig)
    assert rig.asked.queries[-1][1] == ["M220 S100", "M221 S100", "M204 P1500", "M220", "M221", "M503"]
    rig.asked.answer(M503)
    rig.runner.step()
    assert rig.store.settings.overridden() == {}
    assert rig.printer.preamble == ["M220 S100", "M221 S100", "M204 P1500"]


def test_what_is_kept_needs_no_question_and_stays_after_the_job(rig: AskedRig) -> None:
    rig.store.settings.update({"print_acceleration": 1200})
    printing(rig, print_acceleration=800)
    assert rig.asked.queries[-1][1][:3] == ["M220 S100", "M221 S100", "M204 P800"]
    assert rig.store.settings.overridden() == {}


def test_what_a_printer_refuses_is_left_out_of_the_print_and_said(rig: AskedRig) -> None:
    rig.printer.now(dialect="klipper")
    rig.store.settings.update({"bed_mesh": True})
    task_id = printing(rig)
    lines = rig.asked.queries[-1][1]
    assert lines == ["M220 S100", "M221 S100", "BED_MESH_PROFILE LOAD=default"]
    rig.asked.answer(("!! Unknown profile [default]",))
    rig.runner.step()
    assert rig.printer.preamble == ["M220 S100", "M221 S100"]
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert "the printer refused it: Unknown profile [default]" in rig.end(task_id)["data"]["message"]


def test_a_printer_that_does_not_answer_before_a_print_fails_it(rig: AskedRig) -> None:
    task_id = printing(rig, print_acceleration=800)
    rig.clock.advance(QUERY_MAY_TAKE)
    rig.runner.step()
    assert (rig.end(task_id)["error_code"], rig.end(task_id)["job_status"]) == (503, "failed")
    assert "print" not in rig.printer.asked


def test_a_print_can_be_cancelled_while_the_printer_is_asked(rig: AskedRig) -> None:
    task_id = printing(rig, print_acceleration=800)
    rig.task(Name.CANCEL)
    rig.runner.step()
    rig.runner.step()
    assert rig.end(task_id)["job_status"] == "canceled"


def test_a_disk_that_takes_nothing_keeps_a_setting_from_being_changed(rig: AskedRig) -> None:
    """What it was is written down before it is changed."""
    printing(rig, print_acceleration=800)
    rig.asked.answer(M503)
    rig.store.database.execute("PRAGMA query_only = 1")
    rig.runner.step()
    assert len(rig.asked.queries) == 1
    rig.store.database.execute("PRAGMA query_only = 0")
    rig.runner.step()
    assert "M204 P800" in rig.asked.queries[-1][1]
    assert rig.store.settings.overridden() == {"print_acceleration": 1500}


def test_without_a_way_to_ask_only_what_has_a_default_is_a_jobs(tmp_path: Path, store: Store) -> None:
    rig = RunnerRig(tmp_path, store)
    rig.printer.now(dialect="marlin")
    task_id = rig.print(settings={"print_acceleration": 800, "fan_percent": 30})
    rig.runner.step()
    assert rig.woken.wait(5)
    rig.runner.step()
    assert rig.printer.preamble == ["M220 S100", "M221 S100", "M106 S76.5"]
    assert rig.store.settings.overridden() == {"fan_percent": 0}
    rig.printer.ends(Outcome.COMPLETED)
    rig.runner.step()
    assert "what to put back after the job: print_acceleration" in rig.end(task_id)["data"]["message"]
