"""What is sent when, apart from the file itself: hello, pause, resume, cancel, scripts. Generators of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from drivers.gcode.codes import HeatWait, wants_person
from drivers.gcode.dialects import Firmware
from drivers.gcode.heat import Heat
from drivers.gcode.modes import Modes, Position, position_in
from drivers.gcode.steps import Ask, Command, End, Procedure, ask, renumber
from drivers.gcode.timing import Timing

FAN_OFF = b"M107"
MOTORS_OFF = b"M84"


class Saved:
    """What a pause remembers for the resume."""

    def __init__(self) -> None:
        self.position: Position | None = None
        self.targets: dict[str, float] = {}


def hello(timing: Timing, learn: Callable[[list[str]], Firmware], *, unsafe: bool, heat: Heat) -> Procedure:
    """Say hello until it is answered, learn who it is, ask for reports (SERIAL.md §17–19). `unsafe`: a print ended
    without its end, so heaters go off first of all."""
    for _ in range(timing.hello_tries):
        if (yield renumber(patience_s=timing.hello, gives_up=True)) is not None:
            break
    else:
        return End.NO_ANSWER
    if unsafe:
        for code in off(heat.heaters):
            yield _may_fail(code, timing)
    firmware = learn((yield _may_fail(b"M115", timing)) or [])
    if firmware.autoreport:
        yield _may_fail(b"M155 S2", timing)
    if firmware.keepalive:
        yield _may_fail(b"M113 S2", timing)
    yield _may_fail(b"M105", timing)
    return End.DONE


def script(lines: Sequence[bytes], heat: Heat) -> Procedure:
    """Lines one after the other, then the end of all moves."""
    yield from _lines(lines, heat)
    yield ask(b"M400")
    return End.DONE


def pause(lines: Sequence[bytes], heat: Heat, saved: Saved) -> Procedure:
    """Let the moves end, remember, run the script."""
    yield ask(b"M400")
    saved.position = position_in((yield ask(b"M114")) or [])
    saved.targets = heat.targets()
    yield from _lines(lines, heat)
    if lines:
        yield ask(b"M400")
    return End.DONE


def resume(lines: Sequence[bytes], heat: Heat, saved: Saved, modes: Modes, *, moved: bool) -> Procedure:
    """Heat again what has cooled, run the script, go back. `moved`: a script has run since the pause began."""
    waits = [HeatWait(_setter(name, target), name, target, False) for name, target in saved.targets.items()]
    for wait in waits:
        if heat.heaters[wait.heater].target != wait.target:
            yield ask(wait.setter)
    for wait in waits:
        yield heat.hold(wait)
    yield from _lines(lines, heat)
    if moved:
        for code in (saved.position.restore() if saved.position else []) + modes.restore():
            yield ask(code)
    return End.DONE


def cancel(lines: Sequence[bytes], heat: Heat) -> Procedure:
    """The cancel script, or motors off; heaters and fan go off in any case, and first where there is no script."""
    if lines:
        yield from _lines(lines, heat)
    for code in off(heat.heaters):
        yield ask(code)
    if not lines:
        yield ask(MOTORS_OFF)
    return End.DONE


def off(heaters: Iterable[str]) -> Iterator[bytes]:
    """Heaters and fan off: nozzle and bed always, others as far as they are known."""
    names = [name for name in heaters if name not in ("tool0", "bed")]
    tools = [b"M104 T%b S0" % name[4:].encode() for name in names if name.startswith("tool")]
    chamber = [b"M141 S0"] if "chamber" in names else []
    return iter([b"M104 T0 S0" if tools else b"M104 S0", *tools, b"M140 S0", *chamber, FAN_OFF])


def _lines(lines: Sequence[bytes], heat: Heat) -> Procedure:
    for code in lines:
        yield from heat.before(code)
        yield ask(b"M400" if wants_person(code) else code)
    return End.DONE


def _may_fail(code: bytes, timing: Timing) -> Ask:
    return Ask(Command(code + b"\n", code, patience=timing.answer, gives_up=True))


def _setter(name: str, target: float) -> bytes:
    if name.startswith("tool"):
        tool = b" T%b" % name[4:].encode() if name != "tool0" else b""
        return b"M104%b S%g" % (tool, target)
    return b"%b S%g" % (b"M140" if name == "bed" else b"M141", target)
