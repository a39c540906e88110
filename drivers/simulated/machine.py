"""State of the simulated printer that commands act on: heaters, motion, reports, and its output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from drivers.simulated import heater
from drivers.simulated.firmware_settings import FirmwareSettings
from drivers.simulated.motion import STEPS_PER_MM, Motion
from drivers.simulated.options import Options

COLD = 170.0
"""EXTRUDE_MINTEMP: below it the firmware moves no filament."""

BUSY = b"processing"


class Question(Enum):
    """What the prompt that the host was shown last asks, as `M876` answers it."""

    NONE = auto()
    CONTINUE = auto()
    PURGE_MORE = auto()
    NOTHING = auto()  # it only tells something


@dataclass(slots=True)
class PersonQuestions:
    """What the firmware asks the person at the printer, and what it waits for."""

    user_wait: bool = False  # M108 ends it, and M876 where the prompt asks for that
    purge_wait: bool = False  # M876 ends it, or the person; M108 does not (docs/serial.md §25b)
    purge_more: bool = False
    attended: bool = False  # a person answers whatever is asked
    question: Question = Question.NONE
    box: bool = False  # M292 ends it (docs/serial.md §32d)


@dataclass(slots=True)
class UnaskedReports:
    """What the firmware says by itself, and how often."""

    keepalive: float  # seconds between two `busy`
    busy_with: bytes = BUSY
    report_every: float = 0.0  # seconds between two temperature reports
    next_report: float = math.inf


class Machine:
    """A printer that has just been switched on at the simulated instant `now`."""

    def __init__(self, options: Options, now: float, last: Machine | None = None) -> None:
        """`last` is the printer before a reset: its heaters are as warm as they were."""
        self.options = options
        self.dialect = options.firmware_dialect()
        self.now = now
        self.out: list[bytes] = []
        self.nozzle: heater.SimulatedHeater = (
            heater.nozzle(options.ambient, options.nozzle_max) if last is None else last.nozzle
        )
        self.bed: heater.SimulatedHeater = heater.bed(options.ambient, options.bed_max) if last is None else last.bed
        self.motion = Motion(options.planner_blocks)
        if options.homed:
            self.motion.homed |= {"X", "Y", "Z"}
        saved = None if last is None else last.settings.saved
        self.settings: FirmwareSettings = FirmwareSettings(self.dialect.name, saved)
        self.fan = 0.0
        self.flow_percent = 100.0
        self.cold_allowed = False
        self.reports = UnaskedReports(keepalive=2.0 if self.dialect.busy else math.inf)
        self.heating_wait = False  # M108 ends it
        self.person = PersonQuestions()
        self.leaps = False  # heat that a host waits for is there at its next M105
        self.ok_data = b""  # follows the `ok` of the running command
        self.new_line_number: int | None = None  # what M110 sets, once it is executed
        self.not_ready: bytes | None = None  # the answer to each line until it is ready
        self.halt_reason: bytes | None = None  # None while it works; may be empty
        self.restart = False  # whoever runs the machine is to reset it

    @property
    def halted(self) -> bool:
        """Whether it was killed: only a reset helps."""
        return self.halt_reason is not None

    @property
    def refuses(self) -> bool:
        """Whether it takes next to no line: it was killed, or is not ready yet."""
        return self.halt_reason is not None or self.not_ready is not None

    def refusal(self) -> bytes:
        """The answer to a line that is not taken; empty for none."""
        if self.halt_reason is not None:
            return (self.dialect.refusal or b"") % {b"reason": self.halt_reason}
        return self.not_ready or b""

    def say(self, text: bytes) -> None:
        """Print a line."""
        self.out.append(text + b"\n")

    def cold(self) -> bool:
        """Whether the nozzle is too cold to extrude."""
        return not self.cold_allowed and self.nozzle.at(self.now) < COLD

    def temperatures(self) -> bytes:
        """` T:201.32 /210.00 B:60.02 /60.00 @:127 B@:64`, with the leading blank (docs/serial.md §22)."""
        now, nozzle, bed = self.now, self.nozzle, self.bed
        stopped_for = nozzle.look(now) or bed.look(now)
        text = self.dialect.temperatures.format(
            t=nozzle.at(now), tt=nozzle.target, tp=nozzle.power(now), b=bed.at(now), bt=bed.target, bp=bed.power(now)
        )
        if stopped_for and self.options.heat_guard:
            self.kill(stopped_for)
        return b" " + text.encode()

    def answer(self, text: bytes, *, on_ok: bool) -> None:
        """Give the data that a command asks for: on the line of its `ok`, or on one of its own before."""
        if on_ok:
            self.ok_data = b" " + text
        else:
            self.say(text)

    def act(self, text: bytes) -> None:
        """Send an action command to the host, where the firmware knows how to (docs/serial.md §30)."""
        if self.dialect.actions:
            self.say(b"//action:" + text)

    def prompt(self, question: Question, text: bytes, *buttons: bytes) -> None:
        """Show the host a prompt, after the end of the one before (docs/serial.md §25b)."""
        self.person.question = question
        if not self.dialect.prompts:
            return
        self.act(b"prompt_end")
        self.act(b"prompt_begin " + text)
        for button in buttons:
            self.act(b"prompt_button " + button)
        self.act(b"prompt_show")

    def end_prompt(self) -> None:
        """Take the prompt away."""
        self.person.question = Question.NONE
        if self.dialect.prompts:
            self.act(b"prompt_end")

    def notify(self, text: bytes) -> None:
        """Show the host what stands on the display (docs/serial.md §25c)."""
        if self.dialect.prompts:
            self.act(b"notification " + text)

    def hold_filament(self) -> None:
        """Say that the nozzle is too cold for what was asked."""
        if self.dialect.cold:
            self.say(self.dialect.cold)

    def place(self) -> bytes:
        """M114's answer: where the planned moves end, and the steppers' count of where the head is."""
        motion = self.motion
        x, y, z, _ = motion.actual(self.now)
        cx, cy, cz = (round(v * steps) for v, steps in zip((x, y, z), STEPS_PER_MM, strict=True))
        text = self.dialect.place.format(x=motion.x, y=motion.y, z=motion.z, e=motion.e, cx=cx, cy=cy, cz=cz)
        return text.encode()

    def heaters_off(self) -> None:
        """Switch both heaters off."""
        self.nozzle.set_target(self.now, 0.0)
        self.bed.set_target(self.now, 0.0)

    def set_report(self, seconds: float) -> None:
        """Report temperatures every so many seconds, 0 for never (M155)."""
        self.reports.report_every = min(max(seconds, 0.0), 60.0)
        self.reports.next_report = self.now + self.reports.report_every if self.reports.report_every else math.inf

    def end_waits(self) -> None:
        """End a wait for heat, and a wait for one press of the button (M108)."""
        self.heating_wait = False
        self.person.user_wait = False

    def respond(self, number: int) -> None:
        """Press a button of the prompt, 0 the first (M876). Each prompt takes one answer."""
        question, self.person.question = self.person.question, Question.NONE
        if question is Question.CONTINUE:
            self.person.user_wait = False
        elif question is Question.PURGE_MORE and number in (0, 1):
            self.person.purge_wait, self.person.purge_more = False, number == 0

    def show_box(self, title: bytes, text: bytes, *, cancel: bool) -> None:
        """Ask in a message box (M291; docs/serial.md §32d)."""
        self.person.box = True
        for line in (b"- " + title + b" -" if title else b"", text):
            if line:
                self.say(line)
        self.say(b"Send M292 to continue" + (b" or M292 P1 to cancel" if cancel else b""))

    def attend(self) -> None:
        """Somebody comes to the printer, and answers whatever it asks."""
        self.end_waits()
        self.person.box = False
        self.person.purge_wait = self.person.purge_more = False
        self.person.attended = True

    def quick_stop(self) -> None:
        """Stop moving now and drop the planned moves (M410)."""
        self.motion.quick_stop(self.now)

    def kill(self, fault: str = "") -> None:
        """Halt: only a reset helps (docs/serial.md §23a, 25). `fault` is that of a heater, none is M112."""
        if self.halted:
            return
        dialect = self.dialect
        self.heaters_off()
        self.quick_stop()
        if not fault and dialect.emergency_restarts:
            self.restart = True
            return
        reason = dialect.heaters[fault] if fault else dialect.emergency_reason
        if fault and dialect.heater_error:
            self.say(dialect.heater_error % {b"reason": reason})
        for line in dialect.stopped:
            self.say(line % {b"reason": reason})
        self.halt_reason = reason
