"""What each firmware asks in each of six situations, how it is answered from afar, and how the print ends: the
expectations of `test_prompts.py` (docs/serial.md §32).

A cell names the questions in their order. Where `choose` is None nothing from afar is read: the driver refuses the
answer, and a person comes to the printer. `sends` are the lines that the answers become, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.driver import Outcome
from agent.testing import moves

AT = 20
"""The line at which it asks."""
MOVES = tuple(moves(40))


@dataclass(frozen=True)
class Question:
    """One question, with the number of the choice that is answered."""

    text: str
    choices: tuple[str, ...] = ()
    choose: int | None = None


@dataclass(frozen=True)
class Cell:
    """One situation with one firmware."""

    lines: tuple[bytes, ...] = MOVES
    faults: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    sends: tuple[bytes, ...] = ()
    end: Outcome = Outcome.COMPLETED
    unseen: bool = False  # it waits for a person, and nothing on the wire says so


FIRMWARES = ("marlin", "marlin1", "marlin1.0", "prusa", "repetier", "reprap3", "smoothie", "klipper")
SITUATIONS = ("filament change", "runout", "stop in the file", "stop button", "second question", "cancel")


def _with(line: bytes, *more: bytes) -> tuple[bytes, ...]:
    return (*MOVES[: AT - 1], line, *MOVES[AT - 1 :], *more)


def _host(what: str) -> Question:
    return Question(f"the file asks for a pause ({what}", ("Continue",), 0)


_RUNOUT = (f"runout@{AT}",)
_CANCELLED = Outcome.CANCELLED
_UNTOLD = Question("the printer waits for a person")

_CHANGE = Cell(_with(b"M600"), questions=(_host("M600, line 20)"),))
_STOP = Cell(_with(b"M0 Insert nut"), questions=(_host("M0, line 20): Insert nut"),))
_TWO_STOPS = Cell(
    _with(b"M0 Insert nut", b"M1 Take photo", MOVES[0]),
    questions=(_host("M0, line 20): Insert nut"), _host("M1, line 42): Take photo")),
)
_BUTTON = Cell(faults=(f"stop-button@{AT}",), end=_CANCELLED)
_NO_BUTTON = replace(_BUTTON, end=Outcome.COMPLETED)
"""The firmware tells its host nothing of it."""

_PARKED = Question("Nozzle Parked", ("Continue",), 0)
_PURGE = Question("Paused", ("PurgeMore", "Continue"), 1)
_MARLIN = Cell(faults=_RUNOUT, questions=(_PARKED, _PURGE), sends=(b"M876 S0", b"M876 S1"))
_DISPLAY = Cell(faults=_RUNOUT, questions=(_UNTOLD,))
_SILENT = Cell(faults=_RUNOUT, unseen=True)

_INSERT = Question("Filament change: Insert filament", ("OK",), 0)
_LOADED = Question("Filament change: Filament loaded?", ("OK", "Cancel"), 0)
_BOXES = Cell(faults=_RUNOUT, questions=(_INSERT, _LOADED), sends=(b"M292", b"M292"))

_SUSPENSION = Question("the printer has suspended the print", ("Resume",), 0)
_SUSPENDED = Cell(faults=_RUNOUT, questions=(_SUSPENSION,), sends=(b"M601",))
_JAM = Cell(faults=_RUNOUT, questions=(Question("the printer is out of filament (T0)", ("Continue",), 0),))

_MACRO = Question("Filament change: Load the new filament", ("Load", "Resume", "Cancel"), 1)
_MACROS = Cell(faults=_RUNOUT, questions=(_MACRO,), sends=(b"RESUME",))

_IN_FILE = {"filament change": _CHANGE, "stop in the file": _STOP}
"""What the file asks for never reaches a printer (docs/serial.md §26): the host itself asks."""

TABLE: dict[str, dict[str, Cell]] = {
    "marlin": _IN_FILE
    | {
        "runout": _MARLIN,
        "stop button": _BUTTON,
        "second question": replace(
            _MARLIN,
            questions=(_PARKED, replace(_PURGE, choose=0), _PURGE),
            sends=(b"M876 S0", b"M876 S0", b"M876 S1"),
        ),
        "cancel": replace(_MARLIN, questions=(_PARKED,), sends=(), end=_CANCELLED),
    },
    "marlin1": _IN_FILE
    | {
        "runout": _DISPLAY,
        "stop button": _NO_BUTTON,
        "second question": _TWO_STOPS,
        "cancel": replace(_DISPLAY, end=_CANCELLED),
    },
    "marlin1.0": _IN_FILE
    | {
        "runout": _SILENT,
        "stop button": _NO_BUTTON,
        "second question": _TWO_STOPS,
        "cancel": replace(_SILENT, end=_CANCELLED),
    },
    "prusa": _IN_FILE
    | {
        "runout": _DISPLAY,
        "stop button": _BUTTON,
        "second question": _TWO_STOPS,
        "cancel": replace(_DISPLAY, end=_CANCELLED),
    },
    "repetier": _IN_FILE
    | {
        "runout": _JAM,
        "stop button": _BUTTON,
        "second question": replace(_JAM, faults=(*_RUNOUT, f"runout@{AT + 10}"), questions=_JAM.questions * 2),
        "cancel": replace(_JAM, end=_CANCELLED),
    },
    "reprap3": _IN_FILE
    | {
        "runout": _BOXES,
        "stop button": _NO_BUTTON,
        "second question": Cell(
            _with(b'M291 P"Insert magnet" R"Stop" S3', b'M291 P"Close the lid" S2'),
            questions=(Question("Stop: Insert magnet", ("OK", "Cancel"), 1), Question("Close the lid", ("OK",), 0)),
            sends=(b"M292 P1", b"M292"),
        ),
        "cancel": replace(_BOXES, questions=(_INSERT,), sends=(b"M292", b"M292 P1"), end=_CANCELLED),
    },
    "smoothie": _IN_FILE
    | {
        "runout": _SUSPENDED,
        "stop button": _NO_BUTTON,
        "second question": replace(
            _SUSPENDED,
            faults=(*_RUNOUT, f"runout@{AT + 10}"),
            questions=(_SUSPENSION, _SUSPENSION),
            sends=(b"M601", b"M601"),
        ),
        "cancel": replace(_SUSPENDED, sends=(), end=_CANCELLED),
    },
    "klipper": _IN_FILE
    | {
        "runout": _MACROS,
        "stop button": _BUTTON,
        "second question": replace(
            _MACROS,
            questions=(replace(_MACRO, choose=0), Question("Loaded", ("Resume",), 0)),
            sends=(b"LOAD_FILAMENT SPEED=300", b"RESUME"),
        ),
        "cancel": replace(_MACROS, sends=(), end=_CANCELLED),
    },
}
