"""Table of the commands that the simulated firmware knows: code to handler.

A handler acts at once, or gives a generator (see `waits.py`) that holds the command queue until it ends."""

from __future__ import annotations

import re
from collections.abc import Callable

from drivers.simulated import info_texts, setting_commands, waits
from drivers.simulated.command_line import ParsedCommand
from drivers.simulated.dialect import Dialect
from drivers.simulated.heater import SimulatedHeater
from drivers.simulated.machine import Machine
from drivers.simulated.waits import Wait

Handler = Callable[[Machine, ParsedCommand], Wait | None]

_MM_PER_INCH = 25.4
_QUOTED = re.compile(rb'([PR])"([^"]*)"')
_BOX_MODE = re.compile(rb"S(\d)(?!.*\")")


def _value(machine: Machine, command: ParsedCommand, letter: str, here: float, *, relative: bool) -> float:
    """A coordinate: the number in millimetres, added to `here` in relative mode; `here` when it is missing."""
    number = command.number(letter)
    if number is None:
        return here
    return number * machine.motion.unit + (here if relative else 0.0)


def _target(machine: Machine, command: ParsedCommand) -> tuple[float, float, float, float]:
    """Where a move ends: x, y, z, e in millimetres."""
    motion = machine.motion
    x, y, z = (
        _value(machine, command, letter, here, relative=motion.relative)
        for letter, here in (("X", motion.x), ("Y", motion.y), ("Z", motion.z))
    )
    return x, y, z, _value(machine, command, "E", motion.e, relative=motion.relative_e)


def refusal(machine: Machine, command: ParsedCommand) -> bytes:
    """Why a firmware that refuses moves refuses this one: an axis that moves is not homed, or the nozzle is too cold;
    empty when it does not (docs/serial.md §k1)."""
    dialect, motion = machine.dialect, machine.motion
    if not dialect.unhomed or TABLE.get(command.code) is not _move:
        return b""
    x, y, z, e = _target(machine, command)
    ways = (("X", x - motion.x), ("Y", y - motion.y), ("Z", z - motion.z))
    if any(way and axis not in motion.homed for axis, way in ways):
        return dialect.unhomed % {b"x": x, b"y": y, b"z": z, b"e": e}
    return dialect.cold if e != motion.e and machine.cold() else b""


def _move(machine: Machine, command: ParsedCommand) -> Wait:
    yield from waits.planner_room(machine)
    motion = machine.motion
    feed = command.number("F")
    if feed is not None and feed > 0:
        motion.feed = feed * motion.unit
    x, y, z, e = _target(machine, command)
    length = _arc(machine, command, x, y) if command.code in ("G2", "G3") else None
    if motion.move_to(machine.now, x, y, z, e, cold=machine.cold(), length=length):
        machine.hold_filament()


def _arc(machine: Machine, command: ParsedCommand, x: float, y: float) -> float:
    """The path's length; with a radius (R) instead of a centre, the chord stands for it."""
    motion = machine.motion
    i, j = (command.number("I") or 0.0) * motion.unit, (command.number("J") or 0.0) * motion.unit
    if not i and not j:
        return float(((x - motion.x) ** 2 + (y - motion.y) ** 2) ** 0.5)
    return motion.arc_length(x, y, i, j, clockwise=command.code == "G2")


def _dwell(machine: Machine, command: ParsedCommand) -> Wait:
    seconds, milliseconds = command.number("S"), command.number("P")
    return waits.dwell(machine, seconds if seconds is not None else (milliseconds or 0.0) / 1000.0)


def _place(machine: Machine, command: ParsedCommand) -> None:
    unit = machine.motion.unit
    x, y, z, e = (None if number is None else number * unit for number in (command.number(letter) for letter in "XYZE"))
    if x is y is z is e is None:
        x = y = z = e = 0.0
    machine.motion.place(x, y, z, e)


def _absolute(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.relative = machine.motion.relative_e = False


def _relative(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.relative = machine.motion.relative_e = True


def _absolute_e(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.relative_e = False


def _relative_e(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.relative_e = True


def _inches(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.unit = _MM_PER_INCH


def _millimetres(machine: Machine, _command: ParsedCommand) -> None:
    machine.motion.unit = 1.0


def _aim(machine: Machine, heater: SimulatedHeater, command: ParsedCommand, letters: str) -> str:
    """Set the target from the first of `letters` that has a number; that letter, or an empty string."""
    for letter in letters:
        target = command.number(letter)
        if target is not None:
            heater.set_target(machine.now, target)
            return letter
    return ""


def _heat(machine: Machine, heater: SimulatedHeater, command: ParsedCommand, letters: str) -> str:
    """`_aim`, and show what heats up on the display (docs/serial.md §25c)."""
    letter = _aim(machine, heater, command, letters)
    if letter and heater.target > heater.at(machine.now):
        machine.notify(b"E1 Heating..." if heater is machine.nozzle else b"Bed Heating...")
    return letter


def _nozzle(machine: Machine, command: ParsedCommand) -> None:
    _heat(machine, machine.nozzle, command, "S")


def _bed(machine: Machine, command: ParsedCommand) -> None:
    _heat(machine, machine.bed, command, "S")


def _nozzle_wait(machine: Machine, command: ParsedCommand) -> Wait | None:
    letter = _heat(machine, machine.nozzle, command, "SR")
    return waits.heat_up(machine, machine.nozzle, cool_too=letter == "R") if letter else None


def _bed_wait(machine: Machine, command: ParsedCommand) -> Wait | None:
    letter = _heat(machine, machine.bed, command, "SR")
    return waits.heat_up(machine, machine.bed, cool_too=letter == "R") if letter else None


def _tool_targets(machine: Machine, command: ParsedCommand) -> None:
    """G10 P<tool> R<standby> S<active> of a firmware whose tools have two targets; standby is not simulated."""
    if command.number("P") == 0:
        _heat(machine, machine.nozzle, command, "S")


def _motors_off(machine: Machine, _command: ParsedCommand) -> Wait:
    yield from waits.finish_moves(machine)
    machine.motion.homed.clear()


def _temperatures(machine: Machine, _command: ParsedCommand) -> Wait | None:
    if machine.refuses and machine.dialect.temperatures_refusing:
        machine.answer(machine.dialect.temperatures_refusing, on_ok=True)
        return None
    return waits.reported_heat(machine)


def _report(machine: Machine, command: ParsedCommand) -> None:
    seconds = command.number("S")
    if seconds is not None:
        machine.set_report(seconds)


def _keepalive(machine: Machine, command: ParsedCommand) -> None:
    seconds = command.number("S")
    if seconds is None:
        shown = 0 if machine.reports.keepalive > 60 else int(machine.reports.keepalive)
        machine.say(b"echo:M113 S%d" % shown)
    else:
        machine.reports.keepalive = min(seconds, 60.0) if seconds > 0 else float("inf")


def _fan(machine: Machine, command: ParsedCommand) -> None:
    speed = command.number("S")
    machine.fan = min(max(speed if speed is not None else 255.0, 0.0), 255.0)


def _fan_off(machine: Machine, _command: ParsedCommand) -> None:
    machine.fan = 0.0


def _cold_extrusion(machine: Machine, command: ParsedCommand) -> None:
    if command.has("P"):
        machine.cold_allowed = command.number("P") == 1
    elif command.has("S"):
        machine.cold_allowed = command.number("S") == 0


def _echo(machine: Machine, command: ParsedCommand) -> None:
    """M118 [A1] [E1] text: with A1 an action for the host, with E1 an echo."""
    text, prefix = command.text, b""
    for mark, lead in ((b"A1", b"//"), (b"E1", b"echo:")):
        if text.startswith(mark):
            text, prefix = text[2:].lstrip(b" "), lead
    machine.say(prefix + text)


def _line_number(machine: Machine, command: ParsedCommand) -> None:
    number = command.number("N")
    if number is not None:
        machine.new_line_number = int(number)


def _answer(machine: Machine, command: ParsedCommand) -> None:
    number = command.number("S")
    if number is not None:
        machine.respond(int(number))


def _box(machine: Machine, command: ParsedCommand) -> Wait | None:
    """M291 P"text" R"title" S2: a box with OK; S3: with OK and Cancel; S0 and S1 only tell something."""
    found = dict(_QUOTED.findall(command.text))
    mode = _BOX_MODE.search(command.text)
    if mode is None or int(mode[1]) < 2:
        machine.say(found.get(b"P", b""))
        return None
    return waits.ask_in_box(machine, found.get(b"R", b""), found.get(b"P", b""), cancel=int(mode[1]) == 3)


def _tool(machine: Machine, command: ParsedCommand) -> None:
    if command.code != "T0":
        machine.say(b"echo:" + command.code.encode() + b" Invalid extruder")


def _say_place(machine: Machine, _command: ParsedCommand) -> None:
    machine.answer(machine.place(), on_ok=machine.dialect.place_on_ok)


def _identity(machine: Machine, _command: ParsedCommand) -> None:
    dialect = machine.dialect
    starting = dialect.identity_starting if machine.not_ready is not None else b""
    machine.answer(starting or info_texts.identity(dialect, machine.options), on_ok=dialect.identity_on_ok)


def _accepted(_machine: Machine, _command: ParsedCommand) -> None:
    """Taken, without any effect that a host could see."""


TABLE: dict[str, Handler] = {
    **dict.fromkeys(("G0", "G1", "G2", "G3"), _move),
    "G4": _dwell,
    "G10": _tool_targets,
    "G20": _inches,
    "G21": _millimetres,
    "G28": waits.home,
    "G90": _absolute,
    "G91": _relative,
    "G92": _place,
    "M0": waits.stop,
    "M1": waits.stop,
    **dict.fromkeys(("M18", "M84"), _motors_off),
    "M291": _box,
    "M292": _accepted,  # it has acted when it was read
    "M400": lambda machine, _command: waits.finish_moves(machine),
    "M82": _absolute_e,
    "M83": _relative_e,
    "M104": _nozzle,
    "M105": _temperatures,
    "M106": _fan,
    "M107": _fan_off,
    "M108": lambda machine, _command: machine.end_waits(),
    "M109": _nozzle_wait,
    "M110": _line_number,
    "M112": lambda machine, _command: machine.kill(),
    "M113": _keepalive,
    "M114": _say_place,
    "M115": _identity,
    "M118": _echo,
    "M140": _bed,
    "M155": _report,
    "M190": _bed_wait,
    "M302": _cold_extrusion,
    "M410": lambda machine, _command: machine.quick_stop(),
    "M600": waits.change_filament,
    "M876": _answer,
    **dict.fromkeys(("M17", "M73", "M75", "M76", "M77", "M85", "M117", "M200", "M211", "M501", "M502"), _accepted),
    **setting_commands.TABLE,
}
"""Every known command but T<n>, which `handler` adds."""


def handler(command: ParsedCommand, dialect: Dialect) -> Handler | None:
    """What executes a command; None when the firmware does not know it."""
    code = command.code
    if dialect.probe_points and code in dialect.probing:
        return waits.probe_bed
    if (code == "G10" and not dialect.tool_targets) or (code in ("M291", "M292") and not dialect.boxes):
        return None
    if setting_commands.lacks(code, dialect.name):
        return None
    if code in dialect.lacks or (code == "M155" and not dialect.auto_report) or (code == "M113" and not dialect.busy):
        return None
    return _tool if code[0] == "T" else TABLE.get(code)
