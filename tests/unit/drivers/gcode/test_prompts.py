"""The table of what a printer asks, without a printer (docs/serial.md §32)."""

from __future__ import annotations

import itertools

import pytest

from drivers.gcode.printing.dialects import Answers
from drivers.gcode.session.prompts import (
    CHOICE_MAX,
    CHOICES_MAX,
    REASK_S,
    TEXT_MAX,
    Heard,
    PromptDialog,
    PromptPhase,
    declared_code,
)

H, P = Heard, PromptPhase
ASKS = ((H.END, ""), (H.BEGIN, "Nozzle Parked"), (H.CHOICE, "Continue"), (H.SHOW, ""))
PURGE = ((H.BEGIN, "Paused"), (H.CHOICE, "PurgeMore"), (H.CHOICE, "Continue"), (H.SHOW, ""))


def dialog(way: Answers = Answers.EARLY) -> PromptDialog:
    return PromptDialog(itertools.count(7).__next__, lambda: way)


def hear(asks: PromptDialog, *heard: tuple[Heard, str], now: float = 0.0) -> PromptDialog:
    for kind, text in heard:
        asks.hear(kind, text, now)
    return asks


def shown(asks: PromptDialog) -> tuple[int, str, tuple[str, ...]] | None:
    if asks.asked is None:
        return None
    prompt = asks.asked.shown()
    return prompt.id, prompt.text, prompt.choices


def test_a_question_is_asked_when_it_is_shown_and_over_when_it_ends() -> None:
    """docs/serial.md §32a."""
    asks = hear(dialog(), *ASKS[:-1])
    assert shown(asks) is None
    assert shown(hear(asks, ASKS[-1])) == (7, "Nozzle Parked", ("Continue",))
    assert shown(hear(asks, (H.END, ""))) is None


def test_an_answer_is_given_once_to_the_prompt_that_it_is_for() -> None:
    """docs/serial.md §32: not to the one before, not to the one after, and no second one."""
    asks = hear(dialog(), *PURGE)
    assert asks.answer(6, 0) is None
    assert asks.answer(7, 2) is None
    assert asks.answer(7, -1) is None
    choice = asks.answer(7, 1)
    assert choice is not None
    assert choice.code == "M876 S1"
    assert asks.answer(7, 1) is None
    assert asks.answer(7, 0) is None
    hear(asks, *PURGE)
    assert asks.answer(7, 0) is None
    assert asks.answer(8, 0) is not None


def test_what_asks_nothing_is_no_prompt() -> None:
    """docs/serial.md §25b: `Pause` and `Resuming` with their `Dismiss`, `Reheating` without a button."""
    assert shown(hear(dialog(), (H.BEGIN, "Pause"), (H.CHOICE, "Dismiss"), (H.SHOW, ""))) is None
    assert shown(hear(dialog(), (H.BEGIN, "Reheating"), (H.SHOW, ""))) is None


def test_a_wait_of_which_nothing_is_told_is_asked_for_by_itself() -> None:
    """docs/serial.md §32b: with M108 where that is heard, else at the display only."""
    waits = hear(dialog(), (H.WAITING, ""))
    assert shown(waits) == (7, "the printer waits for a person", ("Continue",))
    choice = waits.answer(7, 0)
    assert choice is not None
    assert choice.code == "M108"
    assert shown(hear(waits, (H.WORKING, ""))) is None
    deaf = hear(dialog(Answers.NONE), (H.WAITING, ""))
    assert shown(deaf) == (7, "the printer waits for a person", ())
    assert deaf.answer(7, 0) is None
    assert shown(hear(deaf, (H.WORKING, ""))) is None


def test_a_show_that_was_garbled_is_made_good_by_the_wait() -> None:
    """docs/serial.md §32a."""
    assert shown(hear(dialog(), *ASKS[:-1], (H.WAITING, ""))) == (7, "Nozzle Parked", ("Continue",))


def test_a_printer_that_waits_on_has_not_heard_the_answer_and_is_asked_for_anew() -> None:
    """docs/serial.md §32: under a new id, so that no old answer fits it."""
    asks = hear(dialog(), *ASKS)
    asks.answer(7, 0)
    hear(asks, (H.WAITING, ""), now=100.0)
    hear(asks, (H.WAITING, ""), now=100.0 + REASK_S - 0.1)
    assert asks.phase is P.ANSWERED
    hear(asks, (H.WAITING, ""), now=100.0 + REASK_S)
    assert shown(asks) == (8, "Nozzle Parked", ("Continue",))
    assert asks.answer(7, 0) is None
    assert asks.answer(8, 0) is not None


def test_a_line_that_is_acknowledged_ends_what_holds_the_line() -> None:
    """docs/serial.md §25b, §32c: Marlin reads none while it asks; a Klipper macro's dialog stays."""
    assert shown(hear(dialog(), *ASKS, (H.DONE, ""))) is None
    buttons = ((H.BEGIN, "Change"), (H.CHOICE, "Load|LOAD"), (H.SHOW, ""), (H.DONE, ""))
    assert shown(hear(dialog(Answers.DECLARED), *buttons)) == (7, "Change", ("Load",))


def test_a_dialog_of_declared_buttons_stays_after_an_answer_under_a_new_id() -> None:
    """docs/serial.md §32c: only prompt_end takes it away."""
    asks = hear(dialog(Answers.DECLARED), (H.BEGIN, "Change"), (H.CHOICE, "Load|LOAD|primary"), (H.SHOW, ""))
    choice = asks.answer(7, 0)
    assert choice is not None
    assert choice.code == "LOAD"
    assert shown(hear(asks, (H.DONE, ""))) == (8, "Change", ("Load",))


def test_limits_and_control_characters() -> None:
    """docs/serial.md §32: what a printer says ends up on terminals, pages and at the server."""
    asks = hear(dialog(), (H.BEGIN, "a\x1b[31m" + "x" * 500), *[(H.TEXT, "y" * 100)] * 50)
    hear(asks, *[(H.CHOICE, f"{n}\x07" + "z" * 100) for n in range(40)], (H.SHOW, ""))
    prompt = shown(asks)
    assert prompt is not None
    assert len(prompt[1]) == TEXT_MAX
    assert prompt[1].isprintable()
    assert len(prompt[2]) == CHOICES_MAX
    assert all(len(choice) <= CHOICE_MAX and choice.isprintable() for choice in prompt[2])


@pytest.mark.parametrize("phase", list(PromptPhase))
@pytest.mark.parametrize("heard", list(Heard))
def test_nothing_that_is_heard_in_any_phase_is_an_error(phase: PromptPhase, heard: Heard) -> None:
    """docs/serial.md §32."""
    ways = {
        P.CLOSED: (),
        P.BUILDING: ASKS[:2],
        P.OPEN: ASKS,
        P.ANSWERED: ASKS,
    }
    asks = hear(dialog(), *ways[phase])
    if phase is P.ANSWERED:
        asks.answer(7, 0)
    assert asks.phase is phase
    hear(asks, (heard, "text"))
    assert (asks.asked is not None) == (asks.phase in (P.OPEN, P.ANSWERED))


@pytest.mark.parametrize(
    "text",
    ["RESUME", "resume", "CANCEL_PRINT", "LOAD_FILAMENT SPEED=300", "RESPOND TYPE=command MSG=action:prompt_end"],
)
def test_the_name_of_a_macro_may_be_sent_as_it_was_declared(text: str) -> None:
    """docs/serial.md §32c."""
    assert declared_code(f" {text} ") == text


@pytest.mark.parametrize(
    "text",
    [
        "", "G1 X0", "g28", "M104 S400", "M112", "T0", "N5 M104 S400",
        "SET_HEATER_TEMPERATURE HEATER=extruder TARGET=9",
        "set_pin PIN=heater VALUE=1", "SAVE_CONFIG", "FIRMWARE_RESTART", "RESUME\nM104 S400", "RESUME\rM112",
        "RESUME;M112",
        "RESUME*12", "RÉSUMÉ", "LOAD\u2028M104", "_", "RESUME " + "x" * 80, "RUN_SHELL_COMMAND CMD=sh",
        "A\\nM112", "\x18",
    ],
)  # fmt: skip
def test_anything_else_that_a_button_declares_is_never_sent(text: str) -> None:
    """docs/serial.md §32c: a file may make the printer say a dialog; what that declares must not heat or move."""
    assert declared_code(text) == ""
    asks = hear(dialog(Answers.DECLARED), (H.BEGIN, "?"), (H.CHOICE, f"Go|{text}" if text else "G1"), (H.SHOW, ""))
    assert shown(asks) == (7, "?", ())
    assert asks.answer(7, 0) is None
