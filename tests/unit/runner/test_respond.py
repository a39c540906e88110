"""The command `respond`: an answer to what the printer asks, given once (docs/protocol.md, «Commands»)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.core.command import Name
from agent.core.driver import PrinterState, Prompt
from agent.core.task import TaskState
from agent.runner.respond_activity import RESPONSE_S
from agent.state.store import Store
from tests.rigs.runner_rig import RunnerRig

ASKED = Prompt(7, "Paused", ("PurgeMore", "Continue"))


@pytest.fixture
def rig(tmp_path: Path, store: Store) -> RunnerRig:
    return RunnerRig(tmp_path, store)


def asking(rig: RunnerRig) -> RunnerRig:
    rig.printing()
    rig.printer.now(state=PrinterState.PAUSED, prompt=ASKED)
    rig.runner.step()
    return rig


def respond(rig: RunnerRig, **fields: Any) -> str:
    task_id = rig.task(Name.RESPOND, **fields)
    rig.runner.step()
    return task_id


@pytest.mark.parametrize(("choice", "number"), [(1, 1), ("Continue", 1), ("purgemore", 0), ("1", 1), (" Continue ", 1)])
def test_a_choice_is_given_by_its_number_or_its_text(rig: RunnerRig, choice: int | str, number: int) -> None:
    respond(asking(rig), choice=choice)
    assert rig.printer.asked[-1] == f"respond {number}"


def test_it_is_completed_when_the_answer_was_sent_and_the_prompt_is_closed(rig: RunnerRig) -> None:
    task_id = respond(asking(rig), choice=1)
    assert rig.state(task_id) is TaskState.RUNNING
    rig.printer.now(answered=7)
    rig.runner.step()
    assert rig.state(task_id) is TaskState.RUNNING
    rig.printer.now(prompt=None)
    rig.runner.step()
    assert rig.end(task_id)["data"]["state"] == "completed"


def test_a_printer_that_asks_on_does_not_hold_it_for_ever(rig: RunnerRig) -> None:
    task_id = respond(asking(rig), choice=1)
    rig.printer.now(answered=7)
    rig.clock.advance(RESPONSE_S)
    rig.runner.step()
    assert rig.end(task_id)["data"]["message"] == "the answer was sent; the printer still asks"


def test_a_prompt_that_closed_before_the_answer_was_sent_fails_it(rig: RunnerRig) -> None:
    task_id = respond(asking(rig), choice=1)
    rig.printer.now(prompt=Prompt(8, "Nozzle Parked", ("Continue",)))
    rig.runner.step()
    assert "had closed the prompt" in rig.end(task_id)["error_message"]


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"choice": 2}, 422, "choice 2"),
        ({"choice": "Stop"}, 422, "expected one of: 0 PurgeMore, 1 Continue"),
        ({"choice": 0, "prompt_id": 6}, 409, "prompt 6 is not open any more; the printer asks 7"),
        ({"choice": 0, "job_id": "other"}, 409, "job other is not the running one"),
    ],
)
def test_what_cannot_be_an_answer_to_it_is_refused(rig: RunnerRig, fields: dict[str, Any], code: int, why: str) -> None:
    task_id = respond(asking(rig), **fields)
    end = rig.end(task_id)
    assert (end["error_code"], why in end["error_message"]) == (code, True), end
    assert "respond" not in " ".join(rig.printer.asked)


def test_an_answer_when_nothing_is_asked_is_refused(rig: RunnerRig) -> None:
    rig.printing()
    assert rig.end(respond(rig, choice=0))["error_message"] == "respond: the printer asks nothing"


def test_a_second_answer_is_refused(rig: RunnerRig) -> None:
    respond(asking(rig), choice=1)
    rig.printer.now(answered=7)
    second = rig.task(Name.RESPOND, "t-second", choice=0)
    rig.runner.step()
    assert rig.end(second)["error_code"] == 409
    assert rig.printer.asked.count("respond 1") == 1


def test_the_next_agent_does_not_give_it_again(rig: RunnerRig, tmp_path: Path, store: Store) -> None:
    """Whether the printer got it is not known: a person looks at `data.prompt` and answers anew."""
    task_id = respond(asking(rig), choice=1)
    later = RunnerRig(tmp_path, store)
    later.printer.now(prompt=ASKED)
    later.runner.step()
    assert later.end(task_id)["error_message"] == "respond: the agent ended while it ran"
    assert "respond 1" not in later.printer.asked


def test_the_question_is_in_the_prints_reports_at_once(rig: RunnerRig) -> None:
    asking(rig)
    last = rig.said("p")[-1]["data"]["prompt"]
    assert last == {"id": 7, "text": "Paused", "choices": ["PurgeMore", "Continue"], "answered": False}
    rig.printer.now(prompt=None)
    rig.runner.step()
    assert "prompt" not in rig.said("p")[-1]["data"]


def test_the_question_is_in_the_heartbeat_and_is_told_at_once(rig: RunnerRig) -> None:
    rig.printing()
    before = rig.board.read().change_key()
    rig.printer.now(prompt=ASKED, answered=7)
    situation = rig.board.read()
    assert situation.change_key() != before
    prompt = situation.body().data.prompt
    assert prompt
    assert (prompt.id, prompt.text, prompt.choices, prompt.answered) == (7, "Paused", ("PurgeMore", "Continue"), True)
