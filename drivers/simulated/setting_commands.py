"""Commands of the simulated firmware that set something, or tell what is set (docs/serial.md §33)."""

from __future__ import annotations

from collections.abc import Callable

from drivers.simulated.command_line import ParsedCommand
from drivers.simulated.firmware_settings import RESETS_WITHOUT_NUMBER, knows
from drivers.simulated.machine import Machine

OPTIONAL = frozenset({"M207", "M304", "M420", "M566", "M572", "M851"})
"""Codes that a family without their values does not know; others are taken all the same."""
_CODES = ("M92", "M201", "M203", "M204", "M205", "M301", "M900", *sorted(OPTIONAL))


def _percent(machine: Machine, command: ParsedCommand) -> float | None:
    """The percentage that M220 or M221 sets; None where it only asks."""
    percent = command.number("S")
    if percent is None and machine.settings.family in RESETS_WITHOUT_NUMBER:
        percent = 100.0
    return None if percent is None else min(max(percent, 10.0), 999.0)


def _feed_percent(machine: Machine, command: ParsedCommand) -> None:
    percent = _percent(machine, command)
    if percent is not None:
        machine.motion.feed_percent = percent
        if machine.settings.family == "repetier":
            machine.say(b"SpeedMultiply:%d" % int(percent))
    elif not command.values and (text := machine.settings.multiplier(machine.motion.feed_percent, flow=False)):
        machine.say(text)


def _flow_percent(machine: Machine, command: ParsedCommand) -> None:
    percent = _percent(machine, command)
    if percent is not None:
        machine.flow_percent = percent
        if machine.settings.family == "repetier":
            machine.say(b"FlowMultiply:%d" % int(percent))
    elif text := machine.settings.multiplier(machine.flow_percent, flow=True):
        machine.say(text)


def _setting(machine: Machine, command: ParsedCommand) -> None:
    """A command that only sets values, and tells them to who gives none, where the firmware does so."""
    settings = machine.settings
    given = {letter: value for letter, value in command.values.items() if value is not None}
    taken = settings.set(command.code, given)
    if command.code == "M207" and settings.family == "repetier":
        machine.say(settings.jerk())
    elif not taken and (text := settings.told_alone(command.code)):
        machine.say(text)


def _report(machine: Machine, _command: ParsedCommand) -> None:
    machine.out.append(machine.settings.report())


def _save(machine: Machine, _command: ParsedCommand) -> None:
    machine.settings.save()
    machine.say(b"echo:Settings Stored (636 bytes; crc 12345)")


def _babystep(_machine: Machine, _command: ParsedCommand) -> None:
    """Taken, without any effect that a host could see."""


TABLE: dict[str, Callable[[Machine, ParsedCommand], None]] = {
    **dict.fromkeys(_CODES, _setting),
    "M220": _feed_percent,
    "M221": _flow_percent,
    "M290": _babystep,
    "M500": _save,
    "M503": _report,
}


def lacks(code: str, family: str) -> bool:
    """Whether a family does not know a command of settings."""
    return code in OPTIONAL and not knows(family, code)
