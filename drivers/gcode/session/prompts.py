"""What the printer asks the person in front of it, as a table of states (docs/serial.md §32). Pure.

    phase      heard       what is done
    any        begin       the dialog before is closed; a new one is put together                     → BUILDING
    BUILDING   text        one more sentence
    BUILDING   choice      one more choice
    BUILDING   show        it is asked, under a new id; one that only tells something is closed       → OPEN, CLOSED
    BUILDING   waiting     as show, which may have been garbled
    CLOSED     waiting     the printer waits and does not say for what: it is asked for by itself     → OPEN
    OPEN       answer      at most one for each id                                                    → ANSWERED
    OPEN       working     nobody is waited for where `busy:` was all there was to see                → CLOSED
    ANSWERED   working     the printer goes on                                                        → CLOSED
    ANSWERED   waiting     after REASK_S it has not heard the answer: asked anew, under a new id      → OPEN
    OPEN       done        a line was acknowledged: over, if the firmware reads none while it asks    → CLOSED
    ANSWERED   done        over; or asked anew, where a choice does not end the dialog by itself      → CLOSED, OPEN
    any        end         it is closed

An answer is never sent twice for one id; whatever is asked anew is for a person to answer anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import ClassVar

import msgspec

from agent.core.driver import Prompt
from agent.core.printable import printable
from drivers.gcode.printing.dialects import Answers

TEXT_MAX = 200
"""Characters of a question."""
CHOICES_MAX = 10
"""Choices of a question; what comes after them is left out. Marlin's parser reads one digit (docs/serial.md §32a)."""
SENTENCES_MAX = 12
"""Sentences of a question; what comes after them is left out."""
CHOICE_MAX = 60
"""Characters of a choice."""
CODE_MAX = 80
"""Characters of what a button declares to be sent for it: it has to fit the firmware's line (docs/serial.md §11)."""
REASK_S = 5.0
"""Seconds after an answer until a printer that still waits has not heard it: `busy:` comes every 2 s."""
DISMISS = "Dismiss"
"""The choice of a dialog that asks nothing (docs/serial.md §25b)."""
CONTINUE = "Continue"

_MACRO = re.compile(r"[A-Z_]{2}[A-Z0-9_]*(?: [ -~]*)?\Z", re.IGNORECASE | re.ASCII)
_NEVER = frozenset(
    (
        "SET_HEATER_TEMPERATURE", "TEMPERATURE_WAIT", "SET_PIN", "SET_FAN_SPEED", "SET_TEMPERATURE_FAN_TARGET",
        "SET_KINEMATIC_POSITION", "FORCE_MOVE", "MANUAL_STEPPER", "STEPPER_BUZZ", "PID_CALIBRATE", "SAVE_CONFIG",
        "SAVE_VARIABLE", "SET_GCODE_VARIABLE", "SET_TMC_CURRENT", "SET_TMC_FIELD", "INIT_TMC", "SET_VELOCITY_LIMIT",
        "SET_IDLE_TIMEOUT", "UPDATE_DELAYED_GCODE", "RUN_SHELL_COMMAND", "SDCARD_PRINT_FILE", "SDCARD_RESET_FILE",
        "RESTART", "FIRMWARE_RESTART",
    )
)  # fmt: skip
"""Klipper's own commands that heat, move, configure or restart: no button needs them by themselves, and what a button
declares comes over the same wire as what a file makes the printer say."""


class PromptPhase(Enum):
    """See the module."""

    CLOSED = auto()
    BUILDING = auto()
    OPEN = auto()
    ANSWERED = auto()


class Heard(Enum):
    """See the module."""

    BEGIN = auto()
    TEXT = auto()
    CHOICE = auto()
    SHOW = auto()
    END = auto()
    WAITING = auto()
    WORKING = auto()
    DONE = auto()


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One choice. `code` is the line that answers it, as it is written; empty where none may be sent."""

    label: str
    code: str = ""


class AskedPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt with all that its answer needs; part of the checkpoint. `way` is how it is answered; `has_text`: the
    printer has said what it asks, and does not only wait."""

    id: int
    text: str
    choices: tuple[Choice, ...] = ()
    way: Answers = Answers.NONE
    has_text: bool = True
    answered: bool = False

    def shown(self) -> Prompt:
        """As telemetry has it: with choices only where one can be sent."""
        labels = tuple(choice.label for choice in self.choices) if self.way is not Answers.NONE else ()
        return Prompt(self.id, self.text, labels)


class PromptDialog:
    """The state of one conversation. `next_id` gives an id that no prompt had before; `way` is how this firmware is
    answered now."""

    def __init__(self, next_id: Callable[[], int], way: Callable[[], Answers]) -> None:
        self._next_id = next_id
        self._way = way
        self._phase = PromptPhase.CLOSED
        self._text: list[str] = []
        self._choices: list[Choice] = []
        self._buttons = 0  # choices that the printer has named, those among them that cannot be sent
        self._waits_since = inf  # after the answer
        self.asked: AskedPrompt | None = None

    @property
    def phase(self) -> PromptPhase:
        """Where the conversation is."""
        return self._phase

    def hear(self, heard: Heard, text: str, now: float) -> None:
        """Deal with what the printer said; what the table does not name changes nothing."""
        act = self._TABLE.get((self._phase, heard))
        if act is not None:
            self._phase = act(self, text, now)

    def answer(self, prompt_id: int, choice: int) -> Choice | None:
        """Take the answer to the prompt `prompt_id`; None when it is not open, was answered, or has no such choice."""
        asked = self.asked
        if self._phase is not PromptPhase.OPEN or asked is None or asked.id != prompt_id:
            return None
        if asked.way is Answers.NONE or not 0 <= choice < len(asked.choices):
            return None
        self.mark_answered()
        return asked.choices[choice]

    def mark_answered(self) -> None:
        """Somebody answers what is asked now in another way: it takes no answer any more."""
        if self.asked is not None and self._phase is PromptPhase.OPEN:
            self.asked = msgspec.structs.replace(self.asked, answered=True)
            self._phase = PromptPhase.ANSWERED
            self._waits_since = inf

    def ask(self, text: str, choices: tuple[Choice, ...], way: Answers) -> None:
        """The host itself asks; the same question keeps its id."""
        asked = self.asked
        if self._phase is PromptPhase.OPEN and asked is not None and (asked.text, asked.way) == (text, way):
            return
        self._show(text, choices, way, has_text=True)
        self._phase = PromptPhase.OPEN

    def restore(self, asked: AskedPrompt) -> None:
        """What an agent before this one had heard, and perhaps answered."""
        self.asked = asked
        self._waits_since = inf
        self._phase = PromptPhase.ANSWERED if asked.answered else PromptPhase.OPEN

    # --- what the table does

    def _begin(self, text: str, _now: float) -> PromptPhase:
        self.asked = None
        self._text, self._choices, self._buttons = [], [], 0
        self._add_text(text, 0.0)
        return PromptPhase.BUILDING

    def _add_text(self, text: str, _now: float) -> PromptPhase:
        text = cleaned(text, TEXT_MAX)
        if text and len(self._text) < SENTENCES_MAX:
            self._text.append(text)
        return PromptPhase.BUILDING

    def _add_choice(self, text: str, _now: float) -> PromptPhase:
        if len(self._choices) < CHOICES_MAX:
            choice = _choice(text, self._buttons, self._way())
            self._buttons += 1
            if choice.code or self._way() is Answers.NONE:
                self._choices.append(choice)
        return PromptPhase.BUILDING

    def _shown(self, _text: str, _now: float) -> PromptPhase:
        way = self._way()
        if not self._buttons or (way is not Answers.DECLARED and {c.label for c in self._choices} == {DISMISS}):
            return PromptPhase.CLOSED  # it tells something, and asks nothing
        self._show(": ".join(self._text), tuple(self._choices), way, has_text=True)
        return PromptPhase.OPEN

    def _wait_without_text(self, _text: str, _now: float) -> PromptPhase:
        way = self._way()
        pressed = (Choice(CONTINUE, "M108"),) if way is Answers.EARLY else ()
        self._show("the printer waits for a person", pressed, way if pressed else Answers.NONE, has_text=False)
        return PromptPhase.OPEN

    def _working(self, _text: str, _now: float) -> PromptPhase:
        has_text = self.asked is not None and self.asked.has_text
        return PromptPhase.OPEN if has_text else self._closed("", 0.0)

    def _still_waiting(self, _text: str, now: float) -> PromptPhase:
        self._waits_since = min(self._waits_since, now)
        return self._ask_anew() if now - self._waits_since >= REASK_S else PromptPhase.ANSWERED

    def _done(self, _text: str, _now: float) -> PromptPhase:
        blocks = self.asked is not None and self.asked.way in (Answers.EARLY, Answers.NONE)
        return self._closed("", 0.0) if blocks else PromptPhase.OPEN

    def _done_answered(self, _text: str, _now: float) -> PromptPhase:
        if self.asked is not None and self.asked.way is Answers.DECLARED:
            return self._ask_anew()
        return self._closed("", 0.0)

    def _closed(self, _text: str, _now: float) -> PromptPhase:
        self.asked = None
        return PromptPhase.CLOSED

    def _ask_anew(self) -> PromptPhase:
        if self.asked is None:
            return PromptPhase.CLOSED
        self.asked = msgspec.structs.replace(self.asked, id=self._next_id(), answered=False)
        return PromptPhase.OPEN

    def _show(self, text: str, choices: tuple[Choice, ...], way: Answers, *, has_text: bool) -> None:
        self.asked = AskedPrompt(self._next_id(), cleaned(text, TEXT_MAX), choices, way, has_text)

    _TABLE: ClassVar[dict[tuple[PromptPhase, Heard], Callable[[PromptDialog, str, float], PromptPhase]]] = {
        (PromptPhase.CLOSED, Heard.BEGIN): _begin,
        (PromptPhase.BUILDING, Heard.BEGIN): _begin,
        (PromptPhase.OPEN, Heard.BEGIN): _begin,
        (PromptPhase.ANSWERED, Heard.BEGIN): _begin,
        (PromptPhase.BUILDING, Heard.TEXT): _add_text,
        (PromptPhase.BUILDING, Heard.CHOICE): _add_choice,
        (PromptPhase.BUILDING, Heard.SHOW): _shown,
        (PromptPhase.BUILDING, Heard.WAITING): _shown,
        (PromptPhase.BUILDING, Heard.END): _closed,
        (PromptPhase.CLOSED, Heard.WAITING): _wait_without_text,
        (PromptPhase.OPEN, Heard.WORKING): _working,
        (PromptPhase.OPEN, Heard.DONE): _done,
        (PromptPhase.OPEN, Heard.END): _closed,
        (PromptPhase.ANSWERED, Heard.WORKING): _closed,
        (PromptPhase.ANSWERED, Heard.WAITING): _still_waiting,
        (PromptPhase.ANSWERED, Heard.DONE): _done_answered,
        (PromptPhase.ANSWERED, Heard.END): _closed,
    }


def cleaned(text: str, limit: int) -> str:
    """A printer's text for a person: printable, no longer than `limit`."""
    return printable(text.strip())[:limit]


def declared_code(text: str) -> str:
    """The line that a button declares (docs/serial.md §32c), if it may be sent: the name of a macro with its
    parameters, printable ASCII, one line; empty for anything else, G-code words and Klipper's own commands that heat,
    move or configure among it."""
    text = text.strip()
    if len(text) > CODE_MAX or not _MACRO.match(text) or set("*;#\\") & set(text):
        return ""
    return "" if text.split()[0].upper() in _NEVER else text


def _choice(text: str, index: int, way: Answers) -> Choice:
    """A choice as the printer told it: a label, or `label|code|colour` where buttons declare what is sent."""
    if way is Answers.DECLARED:
        label, _, rest = text.partition("|")
        code = rest.partition("|")[0] or label
        return Choice(cleaned(label, CHOICE_MAX), declared_code(code))
    return Choice(cleaned(text, CHOICE_MAX), f"M876 S{index}" if way is Answers.EARLY else "")
