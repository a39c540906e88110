"""Where the printer is: asked with a line number that is too high, which executes nothing (docs/serial.md §9a). Pure.

The printer is asked early and then each time that the silence has doubled. It has failed when the line's patience is
over, and `probe` seconds more, without any answer. One that tells no place (it was garbled; Repetier says `skip`) is no
silence, but there is an end to that too.
"""

from __future__ import annotations

from enum import Enum, auto

from drivers.gcode.protocol.in_flight import InFlight
from drivers.gcode.protocol.patience import ORDINARY_S
from drivers.gcode.protocol.unacknowledged import Unacknowledged
from drivers.gcode.timing import Timing

MIN_PROBES = 3
"""At least so many questions before it fails, however slow this machine is."""
MAX_UNCLEAR_ANSWERS = 20
"""So many answers in a row that tell no place count as none; of a printer that never told its place, MIN_PROBES."""


class Silence(Enum):
    """What an unanswered question means."""

    ASK_AGAIN = auto()
    FAILED = auto()
    NEVER_ANSWERS = auto()


class Locator:
    """`answers_probes`: the printer answers a number too high with its place; `has_answered`: it did so;
    `open_questions`: so many of them are not answered yet. In the present search: `asked_since`, `probes_sent` that
    nothing answered, `unclear_answers` in a row that told no place; `is_precaution`: nothing was amiss, it is asked
    only to make sure."""

    __slots__ = (
        "_flight",
        "_probe_s",
        "_unacknowledged",
        "answer_heard",
        "answers_probes",
        "asked_since",
        "has_answered",
        "is_precaution",
        "open_questions",
        "probes_sent",
        "unclear_answers",
    )

    def __init__(self, timing: Timing, flight: InFlight, unacknowledged: Unacknowledged) -> None:
        self._probe_s = timing.probe
        self._flight = flight
        self._unacknowledged = unacknowledged
        self.answers_probes = True
        self.has_answered = False
        self.asked_since = 0.0
        self.probes_sent = 0
        self.unclear_answers = 0
        self.open_questions = 0
        self.is_precaution = False
        self.answer_heard = False

    def begin(self, now: float) -> None:
        """Start a search."""
        self.asked_since = now
        nothing_open = not self._flight.lines and not self._unacknowledged.lines
        self.is_precaution = self.probes_sent == 0 and nothing_open

    def wait_for_answer(self, now: float) -> None:
        """A number too high was written: set the deadline for its answer."""
        flight = self._flight
        self.open_questions += 1
        self.answer_heard = False
        pause = max(now - self.asked_since, flight.due_after(flight.lines[0]) if flight.lines else flight.ask_s)
        flight.deadline = min(now + pause, max(self._fails_at(), now + flight.ask_s))

    def unanswered(self, now: float) -> Silence:
        """Count that no answer, or none with a place, came until the deadline, and judge it."""
        most = MAX_UNCLEAR_ANSWERS if self.has_answered else MIN_PROBES
        if self.answer_heard and self.unclear_answers < most:
            self.unclear_answers += 1
            return Silence.ASK_AGAIN
        if not self.answer_heard and (now < self._fails_at() or self.probes_sent < MIN_PROBES):
            self.probes_sent += 1
            return Silence.ASK_AGAIN
        if self._flight.lines or self._unacknowledged.lines:
            return Silence.FAILED
        self.answers_probes = self.has_answered
        self.reset()
        return Silence.NEVER_ANSWERS

    def take_question(self) -> bool:
        """A request came: whether a question of ours was open, which it may answer."""
        asked = self.open_questions > 0
        self.open_questions -= asked
        return asked

    def note_answer(self) -> None:
        """Note that the printer has answered with its place."""
        self.answers_probes = self.has_answered = True

    def reset(self) -> None:
        """End the search's counts."""
        self.probes_sent = self.unclear_answers = 0

    def _fails_at(self) -> float:
        """When the silence has lasted too long."""
        flight = self._flight
        patience = flight.lines[0].patience if flight.lines else ORDINARY_S
        return self.asked_since + patience * flight.patience + self._probe_s
