"""Faults on purpose, from specs such as `lost-ok=0.01` or `reset@500`. Seeded: the same specs and the same
traffic give the same faults.

A RATE is a probability from 0 to 1, a LINE the number of a numbered line; what is at a line happens once. SECONDS and
MS go by the host's time, at whatever speed the printer is simulated. The spec `help` is an error that lists them.

To add a fault: an entry in `_KINDS`, and either a method of `Faults` or a member of `LineFault`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from agent.errors import DataError
from drivers.simulated.heater_fault import HEATER_FORM, HEATER_MEANING, PlannedHeaterFault, parse_heater_fault
from drivers.simulated.random_faults import ByteCorruption, RandomFault, random_garbage

LATE_MS = 500.0
STARTING, CONFIG_ERROR = "klippy-starting", "klippy-config-error"
_LONGEST = 86400.0


class LineFault(Enum):
    """A fault that happens once, when the line with a certain number is reached."""

    STORM = "resend-storm"
    SILENCE = "silence"
    RESET = "reset"
    HEATING = "heating-failed"
    RUNAWAY = "thermal-runaway"
    MINTEMP = "mintemp"
    KILL = "kill"
    PERSON = "pause"
    RUNOUT = "runout"
    STOP = "stop-button"
    UNPLUG = "unplug"
    LOST_MCU = "lost-mcu"


HALTING = {LineFault.HEATING, LineFault.RUNAWAY, LineFault.MINTEMP, LineFault.KILL, LineFault.LOST_MCU}
"""Faults by which the printer halts, most of them of a heater; KILL is a short name for RUNAWAY."""

_TIMED = {LineFault.SILENCE, LineFault.PERSON, LineFault.RUNOUT, LineFault.UNPLUG}


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault at a line. `seconds` is how long it lasts where it has an end, None for ever."""

    fault: LineFault
    seconds: float | None = None


class Faults:
    """The faults that some specs ask for. Without any, every method is the identity."""

    def __init__(self, specs: Sequence[str] = ()) -> None:
        """Raises DataError naming the spec that cannot be used, and what is accepted."""
        self._seed = 0
        self._late = LATE_MS / 1000.0
        self._slow = 0.0
        self._boot = 0
        self.starting = 0.0
        """Seconds of the host's time until it is ready."""
        self.config_error = False
        self.of_klipper = ""
        """A fault that only Klipper can have, if there is one."""
        self._rates: dict[str, float] = {}
        self.scheduled: dict[int, ScheduledFault] = {}
        self.heaters: list[PlannedHeaterFault] = []
        for spec in specs:
            self._add(spec)
        self._to_printer = ByteCorruption(self._rate("corrupt"), self._seeded("corrupt"))
        self._to_host = ByteCorruption(self._rate("corrupt-back"), self._seeded("corrupt-back"))
        self._oks = random.Random(self._seeded("oks"))
        self._random = {
            name: RandomFault(self._rate(name), self._seeded(name))
            for name in ("late-ok", "glued-ok", "lost-resend-ok", "wrong-resend", "double-resend")
        }
        names = (
            "lost-ok",
            "double-ok",
            "slow-board",
            "boot-garbage",
            STARTING,
            CONFIG_ERROR,
            *(fault.value for fault in LineFault),
        )
        self._counted = Counter(dict.fromkeys(names, 0))  # all of them now: others read it while it counts
        self._garbage = random.Random(self._seeded("boot-garbage"))

    @property
    def alters_oks(self) -> bool:
        """Whether an `ok` may reach the host in any other way than once, on its own line, unchanged and at once."""
        rates = ("lost-ok", "double-ok", "late-ok", "glued-ok", "corrupt-back")
        return self._slow > 0 or any(self._rate(name) > 0 for name in rates)

    def count_start(self) -> None:
        """Count what goes wrong when it starts."""
        self._counted[STARTING] += self.starting > 0
        self._counted[CONFIG_ERROR] += self.config_error

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each fault has happened so far, by its name; those that have not are not there."""
        random = {"corrupt": self._to_printer.count, "corrupt-back": self._to_host.count}
        random["heater"] = sum(fault.began is not None for fault in self.heaters)
        random |= {name: fault.count for name, fault in self._random.items()}
        return +(self._counted + Counter(random))

    def take(self, number: int) -> ScheduledFault | None:
        """Take the fault that is scheduled at line `number`, if any; it does not happen again."""
        event = self.scheduled.pop(number, None)
        if event is not None:
            self._counted[event.fault.value] += 1
        return event

    def to_printer(self, data: bytes) -> bytes:
        """Corrupt bytes on their way to the printer, each with the probability of `corrupt`."""
        return self._to_printer.corrupt(data)

    def to_host(self, data: bytes) -> bytes:
        """Corrupt bytes on their way to the host, each with the probability of `corrupt-back`."""
        return self._to_host.corrupt(data)

    def ok_count(self) -> int:
        """How often the next `ok` is sent: 0, 1 or 2 times."""
        lost, double = self._rate("lost-ok"), self._rate("double-ok")
        if not lost and not double:
            return 1
        draw = self._oks.random()
        if draw < lost:
            self._counted["lost-ok"] += 1
            return 0
        if draw < lost + double:
            self._counted["double-ok"] += 1
            return 2
        return 1

    def ok_delay(self) -> float:
        """Seconds of the host's time by which the next `ok` is late."""
        self._counted["slow-board"] += self._slow > 0
        return self._slow + (self._late if self._random["late-ok"].occurs() else 0.0)

    def glues_ok(self) -> bool:
        """Whether the next `ok` is glued to the end of another line (docs/serial.md §4)."""
        return self._random["glued-ok"].occurs()

    def requested_lines(self, number: int) -> list[int]:
        """The numbers that are asked for instead of `number`: one, or the same twice."""
        wrong = self._random["wrong-resend"]
        if wrong.occurs():
            number = max(0, number + wrong.random.choice((-3, -2, -1, 1, 2, 3)))
        return [number] * (2 if self._random["double-resend"].occurs() else 1)

    def resend_ok(self) -> bool:
        """Whether the `ok` comes that usually follows a resend request."""
        return not self._random["lost-resend-ok"].occurs()

    def boot_garbage(self) -> bytes:
        """Bytes that are sent before the boot messages."""
        self._counted["boot-garbage"] += self._boot > 0
        return random_garbage(self._boot, self._garbage)

    def _rate(self, name: str) -> float:
        return self._rates.get(name, 0.0)

    def _seeded(self, name: str) -> str:
        """The seed of one fault's own generator: a fault that is added does not move those of another."""
        return f"{self._seed}/{name}"

    def _add(self, spec: str) -> None:
        cut = min((spec.find(mark) for mark in "=@" if mark in spec), default=len(spec))
        kind = _KINDS.get(spec[: cut + 1])
        if kind is None:
            known = f"known are: {', '.join(known.form for known in _KINDS.values())}"
            if spec == "help":
                raise DataError(f"the faults\n{listing()}\n{known}")
            raise DataError(f"unknown fault {spec!r}; {known}; help tells what they do")
        try:
            kind.apply(self, spec[:cut], spec[cut + 1 :])
        except ValueError as error:
            raise DataError(f"fault {spec!r}: {error}; expected {kind.form}") from error

    def set_seed(self, _name: str, text: str) -> None:
        """Apply `seed=N`: any whole number."""
        self._seed = int(text)

    def set_rate(self, name: str, text: str) -> None:
        """Apply `name=RATE`: a probability. Raises ValueError when it is none."""
        rate = float(text)
        if not 0.0 <= rate <= 1.0:
            raise ValueError("a rate is between 0 and 1")
        self._rates[name] = rate
        if self._rate("lost-ok") + self._rate("double-ok") > 1.0:
            raise ValueError("lost-ok and double-ok together are more than 1")

    def set_late(self, name: str, text: str) -> None:
        """Apply `name=RATE[:MS]`. Raises ValueError when the rate is none, or the time."""
        rate, colon, milliseconds = text.partition(":")
        self.set_rate(name, rate)
        if colon:
            self._late = _seconds(milliseconds, 1000.0)

    def set_slow(self, _name: str, text: str) -> None:
        """Apply `name=MS`. Raises ValueError when it is no time."""
        self._slow = _seconds(text, 1000.0)

    def set_boot(self, _name: str, text: str) -> None:
        """Apply `name=BYTES`. Raises ValueError when it is no number of bytes."""
        self._boot = int(text)
        if not 0 <= self._boot <= 4096:
            raise ValueError("the bytes are between 0 and 4096")

    def set_starting(self, name: str, text: str) -> None:
        """Apply `name=SECONDS`. Raises ValueError when it is no time."""
        self.starting = _seconds(text)
        self.of_klipper = name

    def set_config_error(self, name: str, _text: str) -> None:
        """Apply `name`."""
        self.config_error = True
        self.of_klipper = name

    def set_heater(self, _name: str, text: str) -> None:
        """Apply `heater=NAME:FAULT:PHASE`. Raises ValueError when it is none."""
        self.heaters.append(parse_heater_fault(text))

    def set_line_fault(self, name: str, text: str) -> None:
        """Apply `name@LINE`, for some `name@LINE:SECONDS` too. Raises ValueError when the line is none, or taken."""
        fault = LineFault(name)
        if fault is LineFault.LOST_MCU:
            self.of_klipper = name
        line, colon, seconds = text.partition(":")
        if colon and fault not in _TIMED:
            raise ValueError("it takes no seconds")
        number = int(line)
        if number < 1:
            raise ValueError("a line number is 1 or more")
        if number in self.scheduled:
            raise ValueError(f"line {number} already has {self.scheduled[number].fault.value}")
        self.scheduled[number] = ScheduledFault(fault, _seconds(seconds) if colon else None)


def _seconds(text: str, unit: float = 1.0) -> float:
    seconds = float(text) / unit
    if not 0.0 <= seconds <= _LONGEST:
        raise ValueError("a time is at least 0 and at most a day")
    return seconds


@dataclass(frozen=True, slots=True)
class _Kind:
    form: str
    apply: Callable[[Faults, str, str], None]
    meaning: str


def _kinds(*kinds: _Kind) -> dict[str, _Kind]:
    """The kinds by their name with the mark behind it."""
    ends = ((min((k.form.find(m) for m in "=@" if m in k.form), default=len(k.form)), k) for k in kinds)
    return {kind.form[: 1 + end]: kind for end, kind in ends}


_KINDS = _kinds(
    _Kind("corrupt=RATE", Faults.set_rate, "a byte to the printer becomes another one"),
    _Kind("corrupt-back=RATE", Faults.set_rate, "a byte to the host becomes another one"),
    _Kind("lost-ok=RATE", Faults.set_rate, "an ok is not sent"),
    _Kind("double-ok=RATE", Faults.set_rate, "an ok is sent twice"),
    _Kind("glued-ok=RATE", Faults.set_rate, "an ok is glued to the end of another line"),
    _Kind("late-ok=RATE[:MS]", Faults.set_late, f"an ok comes late, by {LATE_MS:.0f} ms unless told"),
    _Kind("slow-board=MS", Faults.set_slow, "each ok comes that much later"),
    _Kind("wrong-resend=RATE", Faults.set_rate, "a request asks for a line up to three off"),
    _Kind("double-resend=RATE", Faults.set_rate, "a request is made twice"),
    _Kind("lost-resend-ok=RATE", Faults.set_rate, "no ok follows a request"),
    _Kind("resend-storm@LINE", Faults.set_line_fault, "the line is asked for again, however often it comes"),
    _Kind("silence@LINE[:SECONDS]", Faults.set_line_fault, "hears and says nothing, until a reset unless told"),
    _Kind("reset@LINE", Faults.set_line_fault, "the board restarts"),
    _Kind("heating-failed@LINE", Faults.set_line_fault, "the heater does not warm up: the board stops"),
    _Kind("thermal-runaway@LINE", Faults.set_line_fault, "the heater is out of control: the board stops"),
    _Kind("mintemp@LINE", Faults.set_line_fault, "the sensor has come off: the board stops"),
    _Kind("kill@LINE", Faults.set_line_fault, "short for thermal-runaway"),
    _Kind("pause@LINE[:SECONDS]", Faults.set_line_fault, "the printer waits for a person, until M108 unless told"),
    _Kind("runout@LINE[:SECONDS]", Faults.set_line_fault, "the filament ends: M600 at the printer, its two questions"),
    _Kind("stop-button@LINE", Faults.set_line_fault, "somebody stops the print on the printer's display"),
    _Kind("unplug@LINE[:SECONDS]", Faults.set_line_fault, "the cable is pulled, and put back under another name"),
    _Kind("boot-garbage=BYTES", Faults.set_boot, "no text before the boot messages"),
    _Kind("klippy-starting=SECONDS", Faults.set_starting, "Klipper refuses lines for so long after each start"),
    _Kind(
        "klippy-config-error", Faults.set_config_error, "Klipper's configuration is wrong: it refuses lines for ever"
    ),
    _Kind("lost-mcu@LINE", Faults.set_line_fault, "Klipper loses its board and shuts down"),
    _Kind(HEATER_FORM, Faults.set_heater, HEATER_MEANING),
    _Kind("seed=N", Faults.set_seed, "other dice"),
)


def listing() -> str:
    """Every fault with what it does, a line each."""
    return "\n".join(f"  {kind.form:<24}{kind.meaning}" for kind in _KINDS.values())
