"""Commands of the simulated firmware that take time, as generators: each yields the simulated instant at which it wants
to be looked at next.

They are also resumed when something else happened (M108), so each checks for itself whether it is done."""

from __future__ import annotations

import math
from collections.abc import Iterator

from drivers.simulated.command_line import ParsedCommand
from drivers.simulated.heater import SimulatedHeater
from drivers.simulated.machine import BUSY, COLD, Machine, Question

Wait = Iterator[float]

RESIDENCY = 10.0  # TEMP_RESIDENCY_TIME: seconds to stay at the target
WINDOW = 1.0  # TEMP_WINDOW: °C from the target at which that time begins
COOLING_SLOPE = 1.5  # MIN_COOLING_SLOPE_DEG
COOLING_TIME = 60.0  # MIN_COOLING_SLOPE_TIME: seconds in which it must have cooled by that much
PARK_S, LOAD_S = 3.0, 5.0  # seconds that M600 takes to park and unload, and to load and purge
PROBE_S = 2.0  # seconds that one point of a mesh takes
HOMING_XY, HOMING_Z, HOMING_BUMPS = 50.0, 4.0, 3.0  # mm/s, mm/s, seconds


def finish_moves(machine: Machine) -> Wait:
    """Wait until the planner is empty (M400, and before many others)."""
    while machine.motion.busy(machine.now):
        yield machine.motion.end()


def planner_room(machine: Machine) -> Wait:
    """Wait until the planner has a free block."""
    while machine.motion.free(machine.now) < 1:
        yield machine.motion.next_free()


def heat_up(machine: Machine, heater: SimulatedHeater, *, cool_too: bool) -> Wait:
    """Wait for a target temperature and ten seconds more, with a temperature line each second (M109, M190;
    docs/serial.md §22).

    Without `cool_too` (the S form) a heater that is too warm is not waited for. A target that is not being approached
    any more ends the wait, so that `R0` does not last for ever."""
    cooling = heater.at(machine.now) > heater.target
    if cooling and not cool_too:
        return
    machine.heating_wait = True
    first = machine.now
    reached: float | None = None
    checked, warmth = -math.inf, math.inf
    while machine.heating_wait:
        now, temperature = machine.now, heater.at(machine.now)
        if reached is None and abs(heater.target - temperature) < WINDOW:
            # At the target from the start: a third of the time is enough.
            reached = now - (RESIDENCY * 2 / 3 if now == first else 0.0)
        if reached is not None and now >= reached + RESIDENCY:
            break
        if cooling and now >= checked + COOLING_TIME:
            if warmth - temperature < COOLING_SLOPE:
                break
            checked, warmth = now, temperature
        left = b"?" if reached is None else b"%d" % int(RESIDENCY - (now - reached))
        machine.say(machine.temperatures() + (b" W:" + left if machine.dialect.countdown else b""))
        tick = now + 1.0
        while machine.heating_wait and machine.now < tick:
            yield tick
    machine.heating_wait = False


def dwell(machine: Machine, seconds: float) -> Wait:
    """Finish the moves, then stand still (G4)."""
    yield from finish_moves(machine)
    machine.notify(b"Sleep...")
    yield from _stand_still(machine, seconds)


def home(machine: Machine, command: ParsedCommand) -> Wait:
    """Home: finish the moves, then travel to the end stops of the axes that are named; of all, if none is (G28)."""
    yield from finish_moves(machine)
    motion = machine.motion
    named = [axis for axis in "XYZ" if command.has(axis)] or list("XYZ")
    seconds = HOMING_BUMPS * len(named)
    seconds += max((abs(motion.x) if "X" in named else 0.0), (abs(motion.y) if "Y" in named else 0.0)) / HOMING_XY
    seconds += (abs(motion.z) if "Z" in named else 0.0) / HOMING_Z
    yield from _stand_still(machine, seconds)
    x, y, z = (0.0 if axis in named else None for axis in "XYZ")
    motion.place(x, y, z, None)
    motion.homed |= set(named)
    if machine.dialect.place_when_home:
        machine.say(machine.place())


def probe_bed(machine: Machine, _command: ParsedCommand | None) -> Wait:
    """Home, then measure each point of the mesh, and say so where the firmware does (docs/serial.md §15a)."""
    yield from finish_moves(machine)
    text = next(iter(machine.dialect.probing.values()))
    for point in range(1, machine.dialect.probe_points + 1):
        if text:
            machine.say(text % {b"point": point, b"points": machine.dialect.probe_points, b"at": 10.0 * point})
        yield from _stand_still(machine, PROBE_S)


def person(machine: Machine, seconds: float | None) -> Wait:
    """Wait for the person at the printer (or M108) to resume, `seconds` at most."""
    machine.person.user_wait = True
    machine.reports.busy_with = b"paused for user"
    until = math.inf if seconds is None else machine.now + seconds
    while machine.person.user_wait and machine.now < until:
        yield until
    machine.person.user_wait = False
    machine.reports.busy_with = BUSY


def stop(machine: Machine, command: ParsedCommand) -> Wait:
    """Finish the moves, then ask the person with a prompt (M0 and M1; docs/serial.md §25a)."""
    yield from finish_moves(machine)
    seconds, text = None, command.text
    if text[:1] in (b"P", b"S") and text[1:2].isdigit():
        pause = command.number("P")
        seconds, text = (command.number("S") if pause is None else pause / 1000.0), b""
    machine.prompt(Question.CONTINUE, text or b"M0/1 Break Called", b"Continue")
    if not seconds and machine.dialect.busy:
        machine.say(b"echo:busy: paused for user")
    yield from person(machine, seconds or None)
    machine.end_prompt()


def ask_in_box(machine: Machine, title: bytes, text: bytes, *, cancel: bool) -> Wait:
    """M291 S2 or S3 of RepRapFirmware: wait until the box is answered (docs/serial.md §32d)."""
    if machine.person.attended:
        return
    machine.show_box(title, text, cancel=cancel)
    while machine.person.box:
        yield math.inf


def change_filament(machine: Machine, _command: ParsedCommand | None) -> Wait:
    """M600 as Marlin 2.1.2 does it: park, ask for the filament, load it, ask whether to purge more, and leave the
    prompt `Resuming` open (docs/serial.md §25a, §25b). Where there are message boxes it is the owner's macro."""
    if machine.dialect.boxes:
        yield from ask_in_box(machine, b"Filament change", b"Insert filament", cancel=False)
        yield from ask_in_box(machine, b"Filament change", b"Filament loaded?", cancel=True)
        machine.person.attended = False
        return
    machine.act(b"paused")
    machine.prompt(Question.NOTHING, b"Pause", b"Dismiss")
    yield from finish_moves(machine)
    yield from _warm_up(machine)
    yield from _stand_still(machine, PARK_S)
    if machine.dialect.actions:
        machine.say(b"echo:Insert filament and send M108")
    if not machine.person.attended:
        machine.prompt(Question.CONTINUE, b"Nozzle Parked", b"Continue")
        yield from person(machine, None)
    while True:
        yield from _stand_still(machine, LOAD_S)
        machine.prompt(Question.PURGE_MORE, b"Paused", b"PurgeMore", b"Continue")
        machine.person.purge_wait = not machine.person.attended and machine.dialect.asks_to_purge
        machine.person.purge_more = False
        machine.reports.busy_with = b"paused for user"
        while machine.person.purge_wait:
            yield math.inf
        machine.reports.busy_with = BUSY
        if not machine.person.purge_more:
            break
    machine.end_prompt()
    machine.person.attended = False
    machine.act(b"resumed")
    machine.prompt(Question.NOTHING, b"Resuming", b"Dismiss")


def _warm_up(machine: Machine) -> Wait:
    """A nozzle that is too cold to move filament is warmed, until M108 at most."""
    nozzle = machine.nozzle
    if nozzle.target < COLD and not machine.cold_allowed:
        nozzle.set_target(machine.now, COLD)
    machine.heating_wait = True
    while machine.heating_wait and abs(nozzle.target - nozzle.at(machine.now)) > WINDOW and nozzle.target > 0:
        yield machine.now + 1.0
    machine.heating_wait = False


def _stand_still(machine: Machine, seconds: float) -> Wait:
    until = machine.now + seconds
    while machine.now < until:
        yield until


def paused(machine: Machine) -> Wait:
    """Pause as the printer does by itself, until a person resumes."""
    yield from finish_moves(machine)
    machine.act(b"paused")
    yield from person(machine, None)
    machine.act(b"resumed")


def reported_heat(machine: Machine) -> Wait:
    """M105 where time leaps: to the moment at which the heaters are as warm as they are to be. A host that waits for
    them asks for nothing else."""
    while machine.leaps and any(
        heater.target > 0 and abs(heater.at(machine.now) - heater.target) >= WINDOW
        for heater in (machine.nozzle, machine.bed)
    ):
        yield machine.now + 1.0
    machine.answer(machine.temperatures().lstrip(), on_ok=machine.dialect.temperatures_on_ok)
