"""Prompts on one connection: what is sent for an answer, when, and what the next agent knows of it (docs/serial.md
§32)."""

from __future__ import annotations

import pytest

from agent.core.driver import PrinterState, Prompt
from drivers.gcode.requests import Respond
from drivers.gcode.session.driver_checkpoint import DriverCheckpoint, Stage
from drivers.gcode.session.printer_prompts import STORED_AT_ONCE
from drivers.gcode.session.prompts import AskedPrompt
from tests.rigs.session_rig import MARLIN, SessionRig

CODES = [b"G1 X%d" % n for n in range(1, 9)]
EARLY = ("EMERGENCY_PARSER", "PROMPT_SUPPORT")
PARKED = (
    "//action:paused",
    "//action:prompt_begin Nozzle Parked",
    "//action:prompt_button Continue",
    "//action:prompt_show",
)


def asked(rig: SessionRig) -> Prompt:
    prompt = rig.seen.prompt
    assert prompt is not None
    return prompt


def respond(rig: SessionRig, prompt_id: int, choice: int = 0) -> list[bytes]:
    """What is written at once for an answer."""
    rig.take()
    rig.session.control.respond(Respond(prompt_id, choice), rig.now)
    return rig.take()


def stored(rig: SessionRig) -> AskedPrompt | None:
    assert isinstance(rig.checkpoint, DriverCheckpoint)
    prompt = rig.checkpoint.prompt
    return prompt if isinstance(prompt, AskedPrompt) else None


def parked(caps: tuple[str, ...] = EARLY, firmware: str = MARLIN) -> SessionRig:
    rig = SessionRig(caps=caps, firmware=firmware).idle().print(CODES)
    rig.acknowledge(2)
    rig.hear(*PARKED)
    return rig


def test_an_answer_goes_out_past_the_line_that_waits_for_it() -> None:
    """docs/serial.md §23, §32a: the line before which it asks is not acknowledged yet."""
    rig = parked()
    assert asked(rig) == Prompt(asked(rig).id, "Nozzle Parked", ("Continue",))
    assert respond(rig, asked(rig).id) == [b"M876 S0"]
    assert rig.seen.answered == asked(rig).id
    assert respond(rig, asked(rig).id) == [], "once"


def test_an_answer_is_in_the_checkpoint_before_it_is_on_the_wire() -> None:
    """docs/serial.md §32: so that no agent after this one sends it a second time."""
    rig = parked()
    found = stored(rig)
    assert found is not None
    assert not found.answered
    del rig.history[:]
    respond(rig, asked(rig).id)
    assert rig.history == [Stage.PAUSED, b"M876 S0"]
    found = stored(rig)
    assert found is not None
    assert found.answered
    rig.hear("//action:prompt_end")
    assert stored(rig) is None
    assert rig.seen.prompt is None


def test_without_an_emergency_parser_nothing_is_sent() -> None:
    """docs/serial.md §25b, §32a: it would only be read when the question is over."""
    rig = parked(caps=("PROMPT_SUPPORT",))
    assert asked(rig).choices == ()
    assert respond(rig, asked(rig).id) == []
    assert rig.seen.answered == 0


def test_a_resume_from_afar_takes_the_place_of_an_answer() -> None:
    """docs/serial.md §25b, §32: its presses answer whatever is asked; a response beside them would be a second one."""
    rig = parked()
    rig.take()
    rig.session.control.resume()
    assert rig.take()[:2] == [b"M108", b"M876 S1"]
    assert respond(rig, asked(rig).id) == []
    rig.hear("//action:prompt_end", "//action:prompt_begin Paused", "//action:prompt_button PurgeMore",
             "//action:prompt_button Continue", "//action:prompt_show")  # fmt: skip
    assert respond(rig, asked(rig).id) == []


@pytest.mark.parametrize("line", ["M108", "M104 S400", "M876 S0"])
def test_a_marlin_button_is_text_and_never_a_command(line: str) -> None:
    """docs/serial.md §32a: its answer is a number alone."""
    rig = parked()
    rig.hear("//action:prompt_begin ?", f"//action:prompt_button Go|{line}", "//action:prompt_show")
    assert asked(rig).choices == (f"Go|{line}",)
    assert respond(rig, asked(rig).id) == [b"M876 S0"]


def test_what_klipper_declares_goes_out_as_declared() -> None:
    """docs/serial.md §32c."""
    rig = SessionRig(firmware="Klipper").idle().print(CODES)
    rig.hear("// action:paused", "// action:prompt_begin Change", "// action:prompt_button Heat|M104 S400",
             "// action:prompt_footer_button Resume|RESUME FAST=1|primary", "// action:prompt_show")  # fmt: skip
    assert asked(rig).choices == ("Resume",)
    rig.acknowledge(2)
    assert respond(rig, asked(rig).id) == [b"RESUME FAST=1"]


def test_a_file_that_makes_it_ask_without_end_does_not_write_without_end() -> None:
    """docs/serial.md §32: M118 can say prompts too."""
    rig = parked()
    del rig.history[:]
    for number in range(200):
        rig.hear(f"//action:prompt_begin {number}", "//action:prompt_button Continue", "//action:prompt_show")
    assert asked(rig).text == "199"
    assert len([one for one in rig.history if isinstance(one, Stage)]) <= 2 * STORED_AT_ONCE


@pytest.mark.parametrize("line", ["start", "Error:Printer halted. kill() called!"])
def test_a_restart_or_a_halt_takes_the_question_away(line: str) -> None:
    """docs/serial.md §20, §23a, §32."""
    rig = parked()
    rig.hear(line)
    assert rig.seen.prompt is None


@pytest.mark.parametrize("said", ["RequestPause:Extruder Jam Detected!", "// action:out_of_filament T0"])
def test_what_repetier_asks_of_its_host_is_a_pause_and_a_question(said: str) -> None:
    """docs/serial.md §30, §32f."""
    rig = SessionRig(firmware="Repetier_1.0.4").idle().print(CODES)
    rig.acknowledge(2)
    rig.hear(said)
    rig.acknowledge()
    prompt = asked(rig)
    assert prompt.choices == ("Continue",)
    assert "Extruder Jam Detected!" in prompt.text or "out of filament" in prompt.text
    rig.session.control.respond(Respond(prompt.id, 0), rig.now)
    rig.acknowledge()
    assert rig.seen.prompt is None


def test_a_message_box_is_a_question_with_its_title() -> None:
    """docs/serial.md §32d: the message is the line before, the title the one before that."""
    rig = SessionRig(firmware="RepRapFirmware for Duet 3").idle().print(CODES)
    rig.hear("- Stop -", "Insert magnet", "Send M292 to continue or M292 P1 to cancel")
    assert (asked(rig).text, asked(rig).choices) == ("Stop: Insert magnet", ("OK", "Cancel"))
    assert respond(rig, asked(rig).id, 1) == [b"M292 P1"]
    rig.hear("Close the lid", "Send M292 to continue")
    assert (asked(rig).text, asked(rig).choices) == ("Close the lid", ("OK",))


def test_a_suspended_print_is_resumed_by_the_firmware() -> None:
    """docs/serial.md §32e: also by a resume from afar; the host goes on when the firmware says so."""
    rig = SessionRig(firmware="Smoothieware").idle().print(CODES)
    rig.hear("// action:pause", "// Print Suspended, enter resume to continue printing")
    rig.acknowledge()
    assert asked(rig).choices == ("Resume",)
    rig.take()
    rig.session.control.resume()
    assert rig.take() == [b"M601"]
    states = [rig.seen.state]
    rig.hear("// action:resume", "ok")
    states.append(rig.seen.state)
    assert states == [PrinterState.PAUSED, PrinterState.PRINTING]
    rig.acknowledge()
    assert rig.seen.prompt is None


def test_what_was_not_stored_leaves_no_older_question_behind() -> None:
    """docs/serial.md §32: else the next agent would show one that is over."""
    rig = parked()
    for number in range(2 * STORED_AT_ONCE):
        rig.hear(f"//action:prompt_begin {number}", "//action:prompt_button Continue", "//action:prompt_show")
    assert asked(rig).text == str(2 * STORED_AT_ONCE - 1)
    assert stored(rig) is None
    respond(rig, asked(rig).id)
    found = stored(rig)
    assert found is not None
    assert (found.id, found.answered) == (asked(rig).id, True), "an answer is stored always"
