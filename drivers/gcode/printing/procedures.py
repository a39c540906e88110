"""Procedures apart from the file itself, as generators of steps: hello, script, pause, resume, cancel, catch-up."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence

from agent.gcode.modal import ModalState
from agent.gcode.waiting import HeatWait, wants_person
from agent.gcode.words import MAY_BE_UNKNOWN, command_word, parameters
from drivers.gcode.printing.dialects import Firmware
from drivers.gcode.printing.head_position import HeadPosition, position_in
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.printing.heaters_off import lines_off
from drivers.gcode.printing.parking import Parking
from drivers.gcode.printing.pause_state import ParkedState
from drivers.gcode.protocol.patience import LONG_S, ORDINARY_S, patience
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.steps import (
    REFUSAL,
    Answer,
    Ask,
    End,
    Hold,
    OutgoingLine,
    Procedure,
    Step,
    Unknown,
    ask,
    renumber,
)
from drivers.gcode.timing import Timing

MOTORS_OFF = b"M84"
DISARM = b"M85 S0"
QUICK_STOP = b"M410"


def hello(
    timing: Timing,
    learn: Callable[[list[str]], Firmware],
    not_ready: Callable[[str], None],
    *,
    unsafe: bool,
    heaters: Heaters,
) -> Procedure:
    """Say hello until it is answered, learn who it is, wait until it is ready, ask for reports (docs/serial.md §17–19,
    §k2). `unsafe`: an operation may have left heaters on, so they go off first of all, and again those that are on when
    the temperatures are known. `not_ready` is told each time why a printer that answers is not ready; with any other
    reason than that it still starts, the end is REFUSED."""
    for _ in range(timing.hello_tries):
        if (yield renumber(patience_s=timing.hello, gives_up=True)) is not None:
            break
    else:
        return End.NO_ANSWER
    if unsafe:
        yield from _try_each(lines_off(heaters.known), timing)
    firmware = learn((yield from _identity(timing)))
    if firmware.dialect.starts_late and (refusal := (yield from _refusal(timing))):
        while refusal:
            not_ready(refusal)
            if not is_starting(refusal):
                return End.REFUSED
            refusal = yield from _refusal(timing)
        if unsafe:
            yield from _try_each(lines_off(heaters.known, firmware.dialect), timing)
    if firmware.autoreport:
        yield _may_fail(b"M155 S2", timing)
    if firmware.keepalive:
        yield _may_fail(b"M113 S2", timing)
    before = heaters.readings
    yield _may_fail(b"M105", timing)
    if unsafe:
        yield heaters.hold_for_reading(before)
        if heaters.active_targets():
            yield from _try_each(lines_off(heaters.known, firmware.dialect), timing)
            yield _may_fail(b"M105", timing)
    return End.DONE


def _identity(timing: Timing) -> Generator[Step, Answer, list[str]]:
    """Ask M115, again where a line that came as another one, or a garbled answer, left the firmware unknown."""
    texts: list[str] = []
    for _ in range(timing.hello_tries):
        answer = (yield _may_fail(b"M115", timing)) or []
        later = [] if _is_named(answer) else (yield _may_fail(b"M105", timing)) or []
        texts = [*texts, *answer, *later]  # only now: some say `ok` first, and then who they are
        if _is_named(texts):
            break
    return texts


def is_starting(refusal: str) -> bool:
    """Whether a printer refuses lines because it still starts (docs/serial.md §k2)."""
    return "not ready" in refusal.lower()


def _refusal(timing: Timing) -> Generator[Step, Answer, str]:
    """Ask what only a printer that is ready answers; why it refuses, empty when it does not. One that is at its moves
    still answers late, one that is not ready at once."""
    texts = (yield _may_fail(b"M400", timing)) or []
    return next((text.removeprefix(REFUSAL) for text in texts if text.startswith(REFUSAL)), "")


def _try_each(lines: Iterable[bytes], timing: Timing) -> Procedure:
    """As `send_each`; each of them may fail."""
    for code in lines:
        yield _may_fail(code, timing)
    return End.DONE


def _is_named(texts: list[str]) -> bool:
    return any("FIRMWARE_NAME" in text for text in texts)


def script(lines: Sequence[bytes], heaters: Heaters, modes: ModalState, begin_line: Callable[[int], None]) -> Procedure:
    """Send a script's lines one after the other, then wait for the end of all moves. `begin_line` is called before each
    with the number of lines that are done, and after the last one."""
    for done, line in enumerate(lines):
        begin_line(done)
        yield from _send_script([line], heaters, modes)
    begin_line(len(lines))
    yield ask(b"M400")
    return End.DONE


def pause(
    lines: Sequence[bytes],
    heaters: Heaters,
    saved: ParkedState,
    modes: ModalState,
    parking: Parking,
    known: Callable[[], None],
) -> Procedure:
    """Pause (docs/serial.md §27): let the moves end, fill `saved`, run the script; without one retract, lift, then
    park. `known` is called when all that is needed for the way back is in `saved`, before anything moves."""
    yield ask(b"M400")
    saved.position = yield from query_position()
    saved.targets = heaters.active_targets()
    saved.away = bool(lines) or (modes.homed and saved.position is not None)
    if not lines:
        saved.retracted = parking.retraction(heaters, modes)
        lines = parking.away(saved.position, modes, saved.retracted)
    known()
    yield from _send_script(lines, heaters, modes)
    if lines:
        yield ask(b"M400")
    return End.DONE


def pause_again(
    lines: Sequence[bytes], heaters: Heaters, saved: ParkedState, modes: ModalState, parking: Parking
) -> Procedure:
    """Park once more, from wherever the head is by now: nothing is pulled back a second time."""
    again = [code for code in lines if not _pulls(code)] if lines else parking.away(saved.position, modes, 0.0)
    yield from send_each(modes.restore())
    yield from _send_script(again, heaters, modes)
    yield ask(b"M400")
    return End.DONE


def old_lines_s(firmware: Firmware) -> float:
    """Patience in seconds with a printer that may be at a long line of an agent before this one."""
    return ORDINARY_S if firmware.says_busy else LONG_S


def catch_up(firmware: Firmware, lines: Sequence[bytes]) -> Procedure:
    """Begin after a recovery: ask the temperatures, set again what the hello sets, then send `lines`."""
    yield Ask(OutgoingLine(PROBE + b"\n", PROBE, patience=old_lines_s(firmware)))
    if firmware.autoreport:
        yield ask(b"M155 S2")
    if firmware.keepalive:
        yield ask(b"M113 S2")
    return (yield from send_each(lines))


def resume(
    lines: Sequence[bytes], heaters: Heaters, saved: ParkedState, modes: ModalState, parking: Parking
) -> Procedure:
    """Resume (docs/serial.md §27): heat again what has cooled, run the script, go back sideways and then down, prime,
    restore the modes. Nothing of it is needed when nothing was moved."""
    waits = [HeatWait(_setter(name, target), name, target, False) for name, target in saved.targets.items()]
    for wait in waits:
        known = heaters.known.get(wait.heater)
        if known is None or known.target != wait.target:
            yield ask(wait.setter)
    for wait in waits:
        yield heaters.hold(wait)
    yield from _send_script(lines, heaters, modes)
    away, position = saved.away or bool(lines), saved.position
    if away or saved.retracted:
        back = position.go_back() if position and away else []
        count = position.count() if position else []
        yield from send_each((*modes.millimetres(), *back, *parking.prime(saved.retracted), *count, *modes.restore()))
    return End.DONE


def cancel(
    lines: Sequence[bytes],
    heaters: Heaters,
    modes: ModalState,
    parking: Parking | None,
    *,
    off: Callable[[], Sequence[bytes]],
    disarm: Procedure,
    stop_s: float | None = None,
) -> Procedure:
    """Cancel (docs/serial.md §25d, §28): heaters and fan off, then the script, and off again in any case; without one
    the head parks, motors off. `off` gives the lines for that; `disarm` ends the firmware's own watch over the heaters
    when they are off for good. `parking` is None when the head is out of the way already. With `stop_s`, the patience
    for M410, moves were stopped: the one that had waited for room in the planner is stopped too, and the head only goes
    up, because it may have lost steps sideways."""
    yield from send_each(off())
    if stop_s is not None:
        yield Ask(OutgoingLine(QUICK_STOP + b"\n", QUICK_STOP, patience=stop_s, gives_up=True))
    if lines:
        modes.homed = modes.homed and stop_s is None
        yield from _send_script(lines, heaters, modes)
        yield from send_each(off())
        yield from disarm
    else:
        yield from disarm
        if parking is not None and modes.homed:
            position = yield from query_position()
            retract = parking.retraction(heaters, modes)
            way = parking.away if stop_s is None else parking.up
            yield from send_each(way(position, modes, retract))
        yield ask(MOTORS_OFF)
        modes.homed = False
    return End.DONE


def cool(off: Sequence[bytes]) -> Procedure:
    """Switch heaters and fan off by `off`, and ask what the heaters are set to then."""
    yield from send_each(off)
    yield ask(PROBE)
    return End.DONE


def query(lines: Sequence[bytes], answered: Callable[[tuple[tuple[str, ...], ...], bool], None]) -> Procedure:
    """Ask `lines` one after the other, then the temperatures: what some firmwares say after an `ok` has come by then.
    `answered` is told the answers, once: also when something else takes this one's place, before it is complete."""
    texts: list[list[str]] = []
    complete = False
    try:
        for code in lines:
            texts.append((yield ask(code)) or [])
        yield ask(PROBE)
        complete = True
    finally:
        answered(tuple(tuple(each) for each in texts), complete)
    return End.DONE


def resume_sending(lines: Iterable[bytes]) -> Procedure:
    """Wait until all that is in flight is acknowledged, however long that takes, then send `lines`."""
    yield Hold(lambda: True, "", 0.0)
    return (yield from send_each(lines))


def query_position() -> Generator[Step, Answer, HeadPosition | None]:
    """Ask M114 where the head is. Some say `ok` first and then where: what comes until the next answer counts too."""
    texts = (yield ask(b"M114")) or []
    position = position_in(texts)
    if position is None:
        later = (yield ask(b"M400")) or []
        position = position_in([*texts, *later])
    return position


def send_each(lines: Iterable[bytes]) -> Procedure:
    """Send lines one after the other, each acknowledged before the next."""
    for code in lines:
        yield ask(code)
    return End.DONE


def _send_script(lines: Sequence[bytes], heaters: Heaters, modes: ModalState) -> Procedure:
    for line in lines:
        code = line.removeprefix(MAY_BE_UNKNOWN)
        unknown = Unknown.FAILS if code == line else Unknown.WARNS
        yield from heaters.steps_before(code)
        if wants_person(code):
            yield ask(b"M400")
        else:
            yield Ask(OutgoingLine(code + b"\n", code, patience=patience(code), unknown=unknown))
        modes.homed = ModalState((code,), homed=modes.homed).homed  # nothing else of it holds in the print
    return End.DONE


def _pulls(code: bytes) -> bool:
    """Whether `code`, a script's line, moves the filament alone."""
    code = code.removeprefix(MAY_BE_UNKNOWN)
    axes = parameters(code).keys()
    return command_word(code) in (b"G0", b"G1") and b"E" in axes and not axes & {b"X", b"Y", b"Z"}


def _may_fail(code: bytes, timing: Timing) -> Ask:
    return Ask(OutgoingLine(code + b"\n", code, patience=timing.answer, gives_up=True))


def _setter(name: str, target: float) -> bytes:
    if name.startswith("tool"):
        tool = b" T%b" % name[4:].encode() if name != "tool0" else b""
        return b"M104%b S%g" % (tool, target)
    return b"%b S%g" % (b"M140" if name == "bed" else b"M141", target)
