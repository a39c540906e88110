"""Prompts of the printer on one connection: heard, published, remembered for the next agent, and answered once
(docs/serial.md §32).

An answer is in the checkpoint before it is on the wire: an agent that is killed between the two sends it never, and the
printer, which then still waits, is asked after anew under a new id.
"""

from __future__ import annotations

from collections import deque
from math import inf

import structlog
from msgspec import UnsetType

from drivers.gcode.printing.dialects import Answers
from drivers.gcode.printing.printer_identity import PrinterIdentity
from drivers.gcode.protocol.patience import LONG_S
from drivers.gcode.protocol.steps import OutgoingLine
from drivers.gcode.session.driver_checkpoint import CheckpointWriter
from drivers.gcode.session.person_wait import PersonWait
from drivers.gcode.session.prompts import CONTINUE, AskedPrompt, Choice, Heard, PromptDialog, cleaned
from drivers.gcode.session.protocol_stack import ProtocolStack
from drivers.gcode.slot import Slot

STORED_AT_ONCE = 12
"""Changes of what is asked that are stored and logged one after the other; then one each `STORE_EVERY_S`: a file that
makes the printer ask without end must not write the card without end. Answers are always stored."""
STORE_EVERY_S = 5.0

QUIET_S = 0.03
"""Seconds that an answer waits at most for the lines in flight, where its own `ok` should be known."""
BOXES_MAX = 6
"""Message boxes that a cancel answers one after the other."""

_OK, _CANCEL = Choice("OK", "M292"), Choice("Cancel", "M292 P1")
_BOXES = {
    "Send M292 to continue": (_OK,),
    "Send M292 to continue or M292 P1 to cancel": (_OK, _CANCEL),
}
_RESUME = Choice("Resume", "M601")
_SUSPENDED = "Print Suspended, enter resume to continue printing"

_log = structlog.get_logger(part="gcode")


class PrinterPrompts:
    """Used by the link's thread alone."""

    def __init__(
        self,
        *,
        slot: Slot,
        checkpoints: CheckpointWriter,
        stack: ProtocolStack,
        identity: PrinterIdentity,
        person: PersonWait,
    ) -> None:
        self._slot = slot
        self._checkpoints = checkpoints
        self._stack = stack
        self._identity = identity
        self._person = person
        self._dialog = PromptDialog(slot.new_prompt_id, lambda: identity.firmware.answers)
        self._published: AskedPrompt | None = None
        self._last_texts: deque[str] = deque(maxlen=2)  # what was said before a message box asks
        self._suspended = False  # the firmware has suspended the print, and the host is about to pause
        self._boxes_left = 0  # message boxes that the cancel that runs still answers
        self._pending = b""  # an answer that waits for the lines in flight, until `_send_at`
        self._send_at = inf
        self._sent: OutgoingLine | None = None  # the answer, while its `ok` is awaited
        self._stores = float(STORED_AT_ONCE)
        self._stores_at = -inf

    @property
    def asked(self) -> AskedPrompt | None:
        """What is asked now."""
        return self._dialog.asked

    def hear(self, heard: Heard, text: str, now: float) -> None:
        """Deal with what the printer said."""
        asked = self._dialog.asked
        if heard is Heard.END and asked is not None and asked.way is Answers.HOST:
            return  # it does not end what the host asks
        self._dialog.hear(heard, text, now)
        self._publish(now)

    def acknowledged(self, command: OutgoingLine | None, now: float) -> None:
        """A line was acknowledged; None: that `ok` was no line's, as one after a resend request. A macro that a button
        has declared may take a while: only its own `ok` counts."""
        asked = self._dialog.asked
        if asked is None or command is None or (asked.way is Answers.DECLARED and command is not self._sent):
            return
        self._sent = None
        self.hear(Heard.DONE, "", now)

    def due(self) -> float:
        """When `step` has something to do, if nothing is heard before."""
        return self._send_at

    def step(self, now: float) -> None:
        """Send an answer that has waited for the lines in flight."""
        if not self._pending:
            return
        protocol, code = self._stack.protocol, self._pending
        if protocol.quiet():
            self._sent = OutgoingLine(code + b"\n", code, patience=LONG_S)
            protocol.send(self._sent, now)
        elif now >= self._send_at:
            protocol.urgent(code)
        else:
            return
        self._pending, self._send_at = b"", inf

    def hear_text(self, text: str, now: float) -> None:
        """A line of text: with some firmwares it asks (docs/serial.md §32d, §32e)."""
        way = self._identity.firmware.answers
        if way is Answers.BOX:
            choices = _BOXES.get(text.strip())
            if choices is None:
                self._last_texts.append(cleaned(text, 80))
                return
            title, message = ("", *self._last_texts)[-2:] if self._last_texts else ("", "")
            title = title[2:-2] if title.startswith("- ") and title.endswith(" -") else ""
            self._last_texts.clear()
            self._dialog.ask(f"{title}: {message}" if title else message, choices, way)
            self._person.begin_prompt(message)
            self._stack.protocol.busy(now, user=True)  # the line before which it asks may take as long as a person does
            self._publish(now)
        elif way is Answers.SUSPENDED and text.strip("/ ") == _SUSPENDED:
            self._suspended = True
            if self._dialog.asked is not None:  # the host has paused before
                self.ask_to_resume("")

    def ask_to_resume(self, reason: str) -> None:
        """The print is paused because the file or the printer asked for it: the host itself waits for a person. What
        the printer asks goes before."""
        asked = self._dialog.asked
        if self._suspended:
            self._suspended = False
            self._dialog.ask("the printer has suspended the print", (_RESUME,), Answers.SUSPENDED)
            self._publish(inf)
        elif asked is None or asked.way is Answers.HOST:
            self._dialog.ask(reason, (Choice(CONTINUE),), Answers.HOST)
            self._publish(inf)

    def answer(self, prompt_id: int, choice: int, now: float) -> bool:
        """Send the answer to the prompt `prompt_id`, if it is still open; whether it is the host that is to resume."""
        asked = self._dialog.asked
        chosen = self._dialog.answer(prompt_id, choice)
        if asked is None or chosen is None:
            _log.warning("prompt answer dropped", prompt=prompt_id, choice=choice)
            return False
        self._checkpoints.change_prompt(self._dialog.asked)
        if chosen.code:
            self._send(chosen.code.encode("ascii"), asked.way, now)
        self._published = self._dialog.asked
        self._slot.update(answered=prompt_id)
        _log.info("prompt answered", prompt=prompt_id, choice=choice, text=chosen.label)
        if asked.way is not Answers.HOST:
            return False
        self.close()
        return True

    def give_way(self, *, cancelled: bool) -> bool:
        """A cancel or a resume from afar takes the place of an answer; whether that has answered what the firmware
        asks, which then says by itself that the print goes on."""
        asked = self._dialog.asked
        self._boxes_left = BOXES_MAX if cancelled else 0
        if asked is None or asked.answered:
            return False
        self._dialog.mark_answered()
        self._checkpoints.change_prompt(self._dialog.asked)
        if asked.way is Answers.BOX:
            self._boxes_left -= 1
            self._send(asked.choices[-1 if cancelled else 0].code.encode("ascii"), asked.way, 0.0)
        elif asked.way is Answers.SUSPENDED and not cancelled:
            self._send(asked.choices[0].code.encode("ascii"), asked.way, 0.0)
            return True
        elif asked.way is Answers.HOST:
            self.close()
        return False

    def close(self) -> None:
        """Nothing is asked any more: the print has gone on or ended, or the printer begins anew."""
        self._suspended, self._boxes_left = False, 0
        self._pending, self._send_at, self._sent = b"", inf, None
        self._dialog.hear(Heard.END, "", 0.0)
        self._publish(inf)

    def restore(self, asked: AskedPrompt | UnsetType) -> None:
        """Take up what an agent before this one had heard, if it had."""
        if isinstance(asked, UnsetType):
            return
        self._slot.reserve_prompt_id(asked.id)
        self._dialog.restore(asked)
        if asked.way in (Answers.EARLY, Answers.NONE, Answers.BOX):  # the next line that is acknowledged ends it
            self._person.begin_prompt(asked.text)
        self._publish(inf)
        if asked.answered:
            self._slot.update(answered=asked.id)

    def store(self) -> None:
        """Write what is asked now, of a print that was recovered just now."""
        self._checkpoints.change_prompt(self._dialog.asked)

    def _send(self, code: bytes, way: Answers, now: float) -> None:
        if way is Answers.BOX:
            self._person.end()
        if way is Answers.DECLARED:
            self._pending, self._send_at = code, now + QUIET_S
            self.step(now)
        else:
            self._stack.protocol.urgent(code)

    def _publish(self, now: float) -> None:
        """Tell of what is asked, if that has changed; `now` is infinite for what cannot come without end."""
        if self._person.answering:
            self._dialog.mark_answered()
        asked = self._dialog.asked
        if self._boxes_left and asked is not None and asked.way is Answers.BOX and not asked.answered:
            self._boxes_left -= 1
            self._dialog.mark_answered()
            self._send(asked.choices[-1].code.encode("ascii"), asked.way, now)
            asked = self._dialog.asked
        if asked == self._published:
            return
        self._published = asked
        self._slot.update(prompt=None if asked is None else asked.shown())
        if asked is None or not self._may_store(now):
            self._checkpoints.change_prompt(None)  # nothing, unless another one is stored
            return
        self._checkpoints.change_prompt(asked)
        if not asked.answered:
            choices = [choice.label for choice in asked.choices]
            _log.info("printer prompt opened", prompt=asked.id, text=asked.text, choices=choices)

    def _may_store(self, now: float) -> bool:
        if now == inf:
            return True
        passed = min((now - self._stores_at) / STORE_EVERY_S, STORED_AT_ONCE)
        self._stores = min(self._stores + passed, STORED_AT_ONCE)
        self._stores_at = now
        if self._stores < 1:
            return False
        self._stores -= 1
        return True
