"""Dialects: families of firmware, and what a printer's own can do by its answer to M115 (docs/serial.md §17, §19,
Dialects).

What needs no switch, because it is taken as it comes: the form of a resend request, whether an `ok` follows it
(docs/serial.md §8), whether line numbers are checked at all, and `wait`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec

from agent.core.driver import COMMAND_SIZE
from agent.errors import ConfigError
from agent.gcode.framing import checksum

BUSY = "BUSY_PROTOCOL"
"""The capability of a firmware that says `busy:`, as some tell it."""

_KEY = re.compile(r"([A-Z][A-Z0-9_]{1,39}):")


class Answers(StrEnum):
    """How what the printer asks is answered from afar (docs/serial.md §32). Part of a stored checkpoint: the values
    stay."""

    NONE = "none"  # nothing is read while it asks: at its display only
    EARLY = "early"  # M876 S<n> to a prompt, M108 to a mere wait, by the emergency parser
    DECLARED = "declared"  # the line that the chosen button has declared
    BOX = "box"  # M292 to a message box
    SUSPENDED = "suspended"  # M601 to a print that the firmware has suspended
    HOST = "host"  # the host itself waits: it resumes


class Dialect(msgspec.Struct, frozen=True):
    """One family of firmwares. `mark` is a pattern that its FIRMWARE_NAME begins with. `None` for a switch means:
    believe the capability lines."""

    name: str
    mark: str = ""
    autoreport: bool | None = None  # M155
    keepalive: bool | None = None  # M113 and `busy:`
    emergency: bool | None = None  # M108 acts at once, whatever is in the queue
    checksums: bool = False  # wants a checksum on every line, also on those without a number
    locates: bool = True  # tells its place when a number is too high, so a print can be taken over (docs/serial.md §9a)
    g90_extruder: bool = False  # G90 and G91 change the extruder's mode too, not only M82 and M83
    line_size: int = COMMAND_SIZE  # bytes of a line with its newline that it takes (docs/serial.md §11)
    deadman: str = ""  # a pattern of the FIRMWARE_NAMEs whose M85 is safe to use (docs/serial.md §31); empty: none
    starts_late: bool = False  # answers M110 and M115 before it is ready for anything else (docs/serial.md §k2)
    halt: bytes = b"\nM112\n"  # the emergency stop as it is written, after what may be half a line (docs/serial.md §23)
    reboot: bytes = b""  # what reboots it where there is no reset line, as it is written
    reboot_answered: bool = False  # its `ok` to that is all there is to see of the reboot
    answers: Answers = Answers.EARLY  # how it is answered when it asks; EARLY only with an emergency parser

    @property
    def restarts_when_halted(self) -> bool:
        """Whether the emergency stop makes it start anew at once."""
        return b"M112" in self.reboot


DIALECTS: Final = (
    Dialect("klipper", r"Klipper", line_size=4_001, autoreport=False, keepalive=False, emergency=False, locates=False,
            starts_late=True, reboot=b"\nFIRMWARE_RESTART\n", answers=Answers.DECLARED),
    Dialect("prusa", r"Prusa-Firmware", keepalive=True, deadman=r"Prusa-Firmware \d"),
    Dialect("repetier", r"Repetier", autoreport=False, keepalive=False, emergency=False, checksums=True,
            deadman=r"Repetier", halt=b"\nM112*127\n", reboot=b"\nM112\n"),
    Dialect("reprap", r"RepRapFirmware", autoreport=False, keepalive=False, emergency=False,
            reboot=b"\nM999\n", answers=Answers.BOX),
    Dialect("smoothie", r"Smoothie", autoreport=False, keepalive=False, emergency=False, g90_extruder=True,
            halt=b"\x18\n", reboot=b"\nM999\n", reboot_answered=True, answers=Answers.SUSPENDED),
    Dialect("marlin1", r"Marlin\s+[vV]?1\b", deadman=r"Marlin V1\b"),
    Dialect("marlin", r"Marlin", keepalive=True, g90_extruder=True, deadman=r"Marlin (bugfix-)?2\.[1-9]"),
    Dialect("generic", g90_extruder=True),
)  # fmt: skip
"""The first one whose mark fits is it: the special ones before the general ones.

M85 counts from the last move in Marlin 1.1 and early 2.0, and a new limit does not start the count anew: a printer
that has stood still for longer would be killed at once. Others count from the last command, or anew (docs/serial.md
§31)."""

_ALIASES: Final = {"marlin2": "marlin", "marlin1.0": "marlin1", "reprapfirmware": "reprap", "smoothieware": "smoothie"}


class Firmware(msgspec.Struct, frozen=True):
    """Firmware of a printer, as its answer to M115 names it: name, machine, dialect and capabilities."""

    name: str = ""
    machine: str = ""
    dialect: Dialect = DIALECTS[-1]
    capabilities: frozenset[str] = frozenset()

    def _can(self, capability: str, fixed: bool | None) -> bool:
        return capability in self.capabilities if fixed is None else fixed

    @property
    def autoreport(self) -> bool:
        """Whether it reports temperatures by itself after `M155`."""
        return self._can("AUTOREPORT_TEMP", self.dialect.autoreport)

    @property
    def keepalive(self) -> bool:
        """Whether it is asked for `busy:` while it works. Marlin has no capability line for that (docs/serial.md
        §17)."""
        return self._can(BUSY, self.dialect.keepalive)

    @property
    def says_busy(self) -> bool:
        """Whether it has said that it has `busy:`, or one was heard: a silence then means something."""
        return BUSY in self.capabilities

    @property
    def emergency(self) -> bool:
        """Whether `M108` is heard at once, whatever is in the queue."""
        return self._can("EMERGENCY_PARSER", self.dialect.emergency)

    @property
    def answers(self) -> Answers:
        """How what it asks is answered from afar, if it is (docs/serial.md §32)."""
        answers = self.dialect.answers
        return Answers.NONE if answers is Answers.EARLY and not self.emergency else answers

    @property
    def deadman(self) -> bool:
        """Whether `M85` can be used."""
        return bool(self.dialect.deadman) and re.match(self.dialect.deadman, self.name) is not None


def by_name(name: str) -> Dialect | None:
    """Look up the dialect called `name`; None for `auto`. Raises ConfigError for one that does not exist."""
    if name == "auto":
        return None
    wanted = _ALIASES.get(name, name)
    for dialect in DIALECTS:
        if dialect.name == wanted:
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise ConfigError(f"serial.dialect: {name!r} is not known; expected auto or one of {known}")


def identify(texts: list[str], capabilities: frozenset[str], wanted: Dialect | None) -> Firmware:
    """Recognise the firmware by its answer to M115. `wanted` overrules the dialect that it seems to be."""
    fields: dict[str, str] = {}
    for text in texts:
        parts = _KEY.split(text)
        for key, value in zip(parts[1::2], parts[2::2], strict=True):
            fields.setdefault(key, value.strip(" ,"))
    name = fields.get("FIRMWARE_NAME", "")
    found = next((d for d in DIALECTS if d.mark and re.match(d.mark, name)), DIALECTS[-1])
    return Firmware(name, fields.get("MACHINE_TYPE", ""), wanted or found, capabilities)


def with_checksums(write: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Wrap `write` for a dialect that wants a checksum on every line: lines that have none get one."""

    def checked(data: bytes) -> None:
        if b"*" in data:
            write(data)
        else:
            write(b"".join(b"%b*%d\n" % (line, checksum(line)) for line in data.split(b"\n") if line))

    return checked
