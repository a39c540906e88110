"""Feed of a print: the lines of its file as steps. A file line carries its ordinal as number; what the host adds is
unnumbered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.core.driver import COMMAND_SIZE, LineSource
from agent.errors import DataError
from agent.gcode.framing import frame
from agent.gcode.modal import ModalState
from agent.gcode.waiting import message, wants_person
from agent.gcode.words import uppercase
from drivers.gcode.printing.heaters import Heaters
from drivers.gcode.protocol.patience import LONG_S, ORDINARY_S
from drivers.gcode.protocol.phases import PROBE
from drivers.gcode.protocol.steps import End, OutgoingLine, Procedure, Stop, ask, numbered, renumber

HARMLESS = b"M400"
_MOVES = frozenset((b"G1 ", b"G0 "))


def feed(
    source: LineSource,
    preamble: Sequence[bytes],
    modes: ModalState,
    heaters: Heaters,
    begun: Callable[[], None],
    *,
    line_size: int = COMMAND_SIZE,
) -> Procedure:
    """Print all of `source`, from its first line to the end of its last move. `begun` is called when the printer is
    known to count this print's lines: the M105 has a number that only those can have. `line_size` is the bytes of a
    line with its newline that the firmware takes. Raises DataError when the file cannot be read any more or a line
    does not fit."""
    yield ask(b"M400")
    yield renumber(patience_s=LONG_S, gives_up=False)
    yield ask(PROBE)
    begun()
    return (yield from rest(source, 1, preamble, modes, heaters, line_size=line_size))


def rest(
    source: LineSource,
    first: int,
    preamble: Sequence[bytes],
    modes: ModalState,
    heaters: Heaters,
    *,
    stopped: bool = False,
    line_size: int = COMMAND_SIZE,
) -> Procedure:
    """Print `source` from line `first` on, to the end of its last move. `stopped`: the pause that this line asks for is
    over. Raises as `feed`."""
    for code in preamble:
        yield ask(code)
    number = first - 1
    try:
        for code in source.lines(first):
            number += 1
            if not code.isupper():
                code = uppercase(code)  # noqa: PLW2901
            if code[:3] in _MOVES:  # nine lines of ten: no function call that is not needed
                if b"F" in code:
                    modes.feed = code
                command = OutgoingLine(frame(number, code), code, number, ORDINARY_S)
            else:
                yield from _special(number, code, modes, heaters, stopped=stopped and number == first)
                command = numbered(number, _safe(code))
            if len(command.wire) > line_size:  # its newline stands where the firmware keeps its NUL
                raise DataError(_too_long(command, line_size))
            yield command
    except OSError as error:
        raise DataError(f"line {number + 1}: the file cannot be read any more: {error}") from error
    yield ask(b"M400")
    return End.DONE


def _special(number: int, code: bytes, modes: ModalState, heaters: Heaters, *, stopped: bool) -> Procedure:
    """Follow the modes and yield the steps that go before a line that is not just a move."""
    modes.follow(code)
    person = wants_person(code)
    if person and not stopped:
        text = message(code)
        yield Stop(f"the file asks for a pause ({person}, line {number})" + (f": {text}" if text else ""))
    yield from heaters.steps_before(code, modes.tool)
    return End.DONE


def _safe(code: bytes) -> bytes:
    """Replace a line that must not reach the printer as it is by a harmless one with its number. Marlin finds `M110`
    anywhere in a numbered line, even in a message (docs/serial.md §13); M0 and its like would block it (§26)."""
    return HARMLESS if b"M110" in code or wants_person(code) else code


def _too_long(command: OutgoingLine, line_size: int) -> str:
    text = command.code[:40].decode("utf-8", "replace")
    return (
        f"line {command.number} ({text}…): {len(command.wire) - 1} bytes with number and checksum, "
        f"at most {line_size - 1} fit the firmware's buffer"
    )
