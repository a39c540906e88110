"""`//action:` lines: what somebody did at the printer, or what it wants of the host (docs/serial.md §30).

    pause              the host is asked to pause         paused    the printer already has, and knows the way back
    resume             the host is asked to resume        resumed   the printer already has
    cancel             the host is asked to end the print
    out_of_filament    the host is asked to pause, and says why
    poweroff           the printer has switched itself off, or was killed: an error until reset
    prompt_begin TEXT  a question on the printer's display, with a prompt_button for each answer; it is what is waited
                       for until prompt_end, or until a line is acknowledged (docs/serial.md §25b, §32)
    notification TEXT  what the display shows, in telemetry; logged when it is another one (docs/serial.md §25c)
Anything else is only logged. A word may have more after it (`paused filament_runout`).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from drivers.gcode.session.interfaces import PrintControl, PrinterEvents
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.printer_prompts import PrinterPrompts
from drivers.gcode.session.prompts import Heard
from drivers.gcode.slot import Slot

TEXT_MAX = 80
"""Characters of a printer's text that are passed on."""

_DIALOG = {
    "prompt_begin": Heard.BEGIN,
    "prompt_text": Heard.TEXT,
    "prompt_button": Heard.CHOICE,
    "prompt_choice": Heard.CHOICE,
    "prompt_footer_button": Heard.CHOICE,
    "prompt_show": Heard.SHOW,
    "prompt_end": Heard.END,
}

_log = structlog.get_logger(part="gcode")


class HostActions:
    """Carries out the actions that the printer sends to its host."""

    def __init__(
        self,
        *,
        control: PrintControl,
        events: PrinterEvents,
        person: PersonWait,
        prompts: PrinterPrompts,
        slot: Slot,
    ) -> None:
        self._slot = slot
        self._prompts = prompts
        self._notice = ""
        self._actions: dict[str, Callable[[str], None]] = {
            "pause": lambda rest: control.pause(_because("paused at the printer", rest)),
            "paused": lambda rest: control.pause_by_printer(_because("the printer paused by itself", rest)),
            "resume": lambda _rest: control.resume(),
            "resumed": lambda _rest: control.resume_by_printer(),
            "cancel": lambda _rest: control.cancel(),
            "out_of_filament": lambda rest: control.pause(_because("the printer is out of filament", rest)),
            "poweroff": lambda _rest: events.halted("the printer has switched itself off"),
            "prompt_begin": person.begin_prompt,
            "prompt_button": person.add_button,
            "prompt_end": lambda _rest: person.end(),
            "notification": self._notify,
        }

    def hear_dialog(self, text: str, now: float) -> None:
        """Pass on what the action `text` says of a prompt, if it does."""
        name, _, rest = text.partition(" ")
        heard = _DIALOG.get(name.lower())
        if heard is not None:
            self._prompts.hear(heard, rest, now)

    def act(self, text: str, now: float) -> None:
        """Do what the action `text` asks for."""
        self.hear_dialog(text, now)
        name, _, rest = text.partition(" ")
        rest = "".join(c for c in rest.strip() if c.isprintable())[:TEXT_MAX]
        action = self._actions.get(name.lower())
        if action is not None:
            action(rest)
        elif not name.startswith("prompt_"):
            _log.info("host action ignored", action=text[: 2 * TEXT_MAX])

    def _notify(self, rest: str) -> None:
        self._slot.update(display=rest)
        if rest != self._notice:
            self._notice = rest
            _log.info("printer notification", text=rest)


def _because(what: str, rest: str) -> str:
    return f"{what} ({rest})" if rest else what
