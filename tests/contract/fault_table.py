"""Which end a short print has with each fault of the simulator and each of its dialects: the expectations of
`test_fault_matrix.py`, and why some cells differ.

    WHOLE    completed; executed is what is in the file, nothing else, each line once and in order
    GAPS     completed; what was executed unharmed is in the file's order, no line of it twice, and no more of them are
             missing than were in flight when mishaps happened: nobody could have told the host
    failed   the reason matches a pattern, and what was executed is the file up to the line that is told
"""

from __future__ import annotations

from dataclasses import dataclass, replace

LINES = 220
TRIP = 100
"""The line at which what is at a line happens: past the history of lines that can be sent again."""


@dataclass(frozen=True)
class End:
    """`reason` is a pattern of a failed print's error; without one it completes. `gaps`: see above. `either`: it may
    also complete."""

    reason: str = ""
    gaps: bool = False
    either: bool = False


WHOLE, GAPS = End(), End(gaps=True)


@dataclass(frozen=True)
class Case:
    """A column. `strikes` are the faults that must have happened, by name. `patience` scales the driver's (1 is a real
    board's); `reboots`: opening the port resets the board; `back`: in the end the printer is idle again. `only`: the
    dialects that it can happen to; all, if none is named."""

    specs: tuple[str, ...]
    end: End = WHOLE
    strikes: tuple[str, ...] = ()
    patience: float = 0.05
    reboots: bool = False
    back: bool = False
    only: tuple[str, ...] = ()


def _at(fault: str, reason: str = "", *, back: bool = False, patience: float = 0.05) -> Case:
    name, _, seconds = fault.partition(":")
    spec = f"{name}@{TRIP}" + (f":{seconds}" if seconds else "")
    return Case((spec,), End(reason), (name,), back=back, patience=patience)


_NOISE = "corrupt=0.0015"
_SMALL = ("corrupt=0.0015", "corrupt-back=0.001", "lost-ok=0.015", "double-ok=0.03", "glued-ok=0.1", "late-ok=0.01:100")
_RESTARTED = rf"the printer restarted after line {TRIP - 1}: its position is lost"
_SILENT = rf"line {TRIP} \(.*\): no answer, although asked \d+ times"

HELD_BY_A_RUNOUT = ("marlin", "marlin1", "marlin1.0", "prusa", "reprap", "reprap3")
"""The others tell their host of it, which pauses until somebody answers: `test_prompts.py`."""

CASES: dict[str, Case] = {
    "corrupt": Case((_NOISE,), strikes=("corrupt",)),
    "corrupt-back": Case(("corrupt-back=0.003",), strikes=("corrupt-back",)),
    "lost-ok": Case(("lost-ok=0.015",), strikes=("lost-ok",)),
    "double-ok": Case(("double-ok=0.05",), strikes=("double-ok",)),
    "glued-ok": Case(("glued-ok=0.2",), strikes=("glued-ok",)),
    "late-ok": Case(("late-ok=0.012:250",), strikes=("late-ok",)),
    "slow-board": Case(("slow-board=2",), strikes=("slow-board",)),
    "wrong-resend": Case(("wrong-resend=0.4", _NOISE), strikes=("corrupt", "wrong-resend")),
    "double-resend": Case(("double-resend=0.6", _NOISE), strikes=("corrupt", "double-resend")),
    "lost-resend-ok": Case(("lost-resend-ok=0.4", _NOISE), strikes=("corrupt", "lost-resend-ok")),
    "resend-storm": _at("resend-storm", rf"line {TRIP} \(.*\): the printer asked for it 10 times"),
    "silence": _at("silence", _SILENT),
    "silence, for a moment": _at("silence:0.3"),
    "reset": _at("reset", _RESTARTED, back=True),
    "heating-failed": _at("heating-failed", "Heating failed"),
    "thermal-runaway": _at("thermal-runaway", "Thermal Runaway"),
    "mintemp": _at("mintemp", "MINTEMP"),
    "kill": _at("kill", "Thermal Runaway"),
    "pause": _at("pause:0.3", patience=1.0),
    "runout": replace(_at("runout:0.3", patience=1.0), only=HELD_BY_A_RUNOUT),
    "unplug": _at("unplug", "was unplugged"),
    "unplug, and back": _at("unplug:0.1", "was unplugged", back=True),
    "klippy-starting": Case(("klippy-starting=1.5",), strikes=("klippy-starting",), only=("klipper",)),
    "lost-mcu": replace(_at("lost-mcu", "Lost communication with MCU 'mcu'"), only=("klipper",)),
    "boot-garbage": Case(("boot-garbage=40",), strikes=("boot-garbage",), reboots=True),
    "boot-garbage, in the middle": Case(
        ("boot-garbage=40", f"reset@{TRIP}"), End(_RESTARTED), ("boot-garbage", "reset"), back=True
    ),
    "seed": Case(
        ("seed=11", *_SMALL, "double-resend=0.3", "lost-resend-ok=0.1"),
        strikes=("corrupt", "double-ok", "glued-ok"),
    ),
}
"""The names are those of `printer-agent simulate --fault help`, with a remark where there are two of one. `seed` has no
meaning alone: with it, everything goes wrong that a print can survive."""

NO_PRINT = {"klippy-config-error", "stop-button", "heater"}
"""Faults that have tests of their own: there is no print that could end, a person ends it, or the heat monitor does
(`test_klipper.py`, `test_prompts.py`, `test_heat_alarms.py`)."""

WITHOUT_REQUESTS = ("reprap3", "klipper")
"""They look at no number and ask for no line again. From the host, a line that is lost and an `ok` that is lost look
alike: M105 is answered, and the line's `ok` has not come."""

WITHOUT_NEED_OF_CHECKSUMS = ("reprap", "smoothie")
"""They take a line without a checksum: a spoilt `*` lets its line through, whatever else it has become."""

NOISY = ("corrupt", "wrong-resend", "double-resend", "lost-resend-ok", "seed")

_HEATERS = ("heating-failed", "thermal-runaway", "mintemp", "kill")
_REPRAP = ("much more slowly", "excursion exceeded", "reading invalid", "excursion exceeded")
_KLIPPER = ("not heating at expected", "not heating at expected", "ADC out of range", "not heating at expected")
_SMOOTHIE = ("took too long", "runaway", "MINTEMP", "runaway")

EXCEPTIONS: dict[tuple[str, str], End] = {
    **{(case, dialect): GAPS for case in NOISY for dialect in (*WITHOUT_REQUESTS, *WITHOUT_NEED_OF_CHECKSUMS)},
    # A byte that becomes a Ctrl-X is its emergency stop (docs/serial.md, Dialects).
    **{(case, "smoothie"): End("HALTED", gaps=True, either=True) for case in NOISY},
    # What came during the silence is gone; the storm's line is never taken; nobody asks for either.
    **{(c, d): GAPS for c in ("silence, for a moment", "resend-storm") for d in WITHOUT_REQUESTS},
    # No `Error:` line that names the place stands beside the request: the same lie told twice must be believed.
    **{
        ("wrong-resend", dialect): End("the printer asked for it|HALTED", gaps=True, either=True)
        for dialect in ("reprap", "smoothie", "repetier")
    },
    # Repetier has one text for all of its sensors and heaters.
    **{(case, "repetier"): End("heater seems decoupled") for case in _HEATERS},
    **{(c, d): End(word) for d in ("reprap", "reprap3") for c, word in zip(_HEATERS, _REPRAP, strict=True)},
    **{(case, "smoothie"): End(word) for case, word in zip(_HEATERS, _SMOOTHIE, strict=True)},
    **{(case, "klipper"): End(word) for case, word in zip(_HEATERS, _KLIPPER, strict=True)},
}


def case_of(name: str, dialect: str) -> Case:
    """The cell of the matrix."""
    case = CASES[name]
    strikes = case.strikes
    if dialect in WITHOUT_REQUESTS:  # what is about requests cannot happen
        strikes = tuple(strike for strike in strikes if "resend-ok" not in strike and not strike.endswith("-resend"))
    return replace(case, end=EXCEPTIONS.get((name, dialect), case.end), strikes=strikes)
