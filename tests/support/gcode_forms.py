"""A line of a file through the scan and then to the models of the firmwares: what is let through, and what it does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from agent.errors import DataError
from agent.gcode import Limits, Scanner
from agent.gcode.command_policy import DIALECTS, NAMES, POLICIES, Rule
from agent.gcode.framing import frame
from agent.gcode.sendable import sendable
from agent.gcode.waiting import wants_person
from agent.gcode.words import uppercase
from tests.support.firmware_readers import READERS, Executed

FORMS = Path(__file__).parents[1] / "unit/gcode/forms.tsv"
"""The table of odd forms: a line, and a cell for each firmware."""

LIMITS = Limits(tool=260, bed=110, chamber=60)

HEATING = (
    b"M104 S450", b"M109 S450", b"M109 R450", b"M140 S450", b"M190 S450", b"M190 R450", b"M141 S450", b"M191 S450",
    b"M104 T0 S200", b"M109 T1 S210", b"M140 S60", b"M104.0 S450", b"G10 P0 S450 R450", b"M568 P0 S450",
    b"M303 E0 S450", b"M145 S0 H450 B200", b"M109 S200 B450 F1", b"M104 I0", b"G1 X1 M104 S450", b"G28 M140 S450",
    b"SET_HEATER_TEMPERATURE HEATER=extruder TARGET=450", b"SET_HEATER_TEMPERATURE HEATER=heater_bed TARGET=200",
    b"PRINT_START BED_TEMP=60 EXTRUDER_TEMP=450", b"START_PRINT BED=60 EXTRUDER=450", b"M117 M104 S450",
    b"@x M104 S450", b"M118 go M104 S450", b"M486 AGear M104 S450", b"M106 S255 M104 S450", b"T0 M104 S450",
    b"M73 P1 M109 R450",
)  # fmt: skip
"""What the mutations begin with."""

REFUSED = tuple(
    name.encode() + tail
    for name in (
        "M112",
        "M500",
        "M502",
        "M997",
        "M28",
        "M30",
        "M98",
        "M587",
        "M575",
        "M81",
        "M42",
        "M85",
        "M302",
        "M211",
    )
    for tail in (b"", b" S0", b" P1")
)
"""Commands that no file may have by itself."""

_PIECES = (
    b" ", b"\t", b".0", b"0", b"00", b"+", b"-", b"E2", b"e1", b"x", b"X1", b"S", b"S450", b"R450", b"T", b"TS450",
    b"M104", b"m104 s450", b"G1 ", b"M109 ", b":", b"*", b"=", b"\\", b"\"", b"'", b"{", b"}", b"_", b"#", b"/",
    b"%", b"\x08", b"\x18", b"\x00", b"\xc2\xa0", b"\xef\xbc\x94", b"\xff", b"N5 ", b"N-1 ", b"(x)", b"(", b";",
    b"65640", b"M65640 S450", b"M1.04E2 S450", b"M10.4E1 S450", b"4_50", b"inf", b"0x1C2", b"O400", b"B450", b"F1",
    b"I0", b"H450", b"P0", b",", b"?", b"!", b"$", b"@", b"[a]", b"{a}", b"N", b"D3", b"PRUSA FR", b"echo",
    b"G10 S450", b"M110 N1", b"~",
)  # fmt: skip


def verdict(line: bytes, limits: Limits = LIMITS) -> dict[str, str]:
    """Firmware -> why it would not get a file with this line; empty for those that would."""
    scanner = Scanner(limits)
    try:
        scanner.feed(b"G28\n" + line + b"\n")
        return scanner.finish().refused
    except DataError as error:
        return dict.fromkeys(DIALECTS, str(error))


def wires(line: bytes) -> list[bytes]:
    """What the sender would put on the wire for it."""
    return [
        frame(number, b"M400" if wants_person(code) or b"M110" in uppercase(code) else uppercase(code))
        for number, code in enumerate(sendable(line.replace(b"\r", b"\n").replace(b"\0", b" ") + b"\n"), 2)
    ]


def executed(line: bytes, dialect: str) -> list[Executed]:
    """What the firmware would execute of it."""
    return [command for wire in wires(line) for command in READERS[dialect](wire)]


def harm(line: bytes, dialect: str, limits: Limits = LIMITS) -> list[str]:
    """What the firmware would do of it that it must not: targets over the limits, commands of a refused group."""
    found = []
    for command in executed(line, dialect):
        for heater, degrees in command.degrees:
            if degrees > getattr(limits, heater):
                found.append(f"{command.name} heats the {heater} to {degrees:g}")
        if command.name in ("meta", "console") or (dialect == "prusa" and command.name[:1] in "PD"):
            found.append(f"{command.name} executed")
        rule = POLICIES[dialect].get(command.name) or (NAMES.get(command.name) if dialect == "klipper" else None)
        if rule and _forbidden(rule, command.words):
            found.append(f"{command.name} executed")
    return found


def _forbidden(rule: Rule, words: str) -> bool:
    words = words.partition("*")[0].strip().upper()
    if not rule.group or (rule.only and not set(rule.only) & set(words)):
        return False
    return not (rule.safe and words in rule.safe)


def mutations(seed: int) -> Iterator[bytes]:
    """Lines made of the ones that heat or are refused, without end, the same for the same seed."""
    chosen = random.Random(seed)
    while True:
        line = bytearray(chosen.choice(HEATING if chosen.random() < 0.8 else REFUSED))
        for _ in range(chosen.randrange(1, 5)):
            at = chosen.randrange(len(line) + 1)
            kind = chosen.random()
            if kind < 0.55:
                line[at:at] = chosen.choice(_PIECES)
            elif kind < 0.7:
                del line[at : at + chosen.randrange(1, 4)]
            elif kind < 0.8:
                line[at:] = bytes(line[at:]).swapcase()
            elif kind < 0.9:
                line += b" " * chosen.randrange(2) + chosen.choice(HEATING)
            else:
                line[:0] = chosen.choice(
                    (b"G1 X1 ", b"M117 ", b"M118 ", b"M115 ", b"M106 S1", b"G4 ", b"@a ", b"T0 ", b"N7 ")
                )
        yield bytes(line).replace(b"\n", b" ")


def line_of(shown: str) -> bytes:
    """The bytes that the first cell of a row of the table shows."""
    return shown.encode("ascii").decode("unicode_escape").encode("latin-1")


def cells(line: bytes, refused: dict[str, str]) -> list[str]:
    """The other cells of a row: whether the firmware gets the line, and what it would do."""
    found = []
    for dialect in DIALECTS:
        does = dict.fromkeys(
            command.name + "".join(f" {heater}={degrees:g}" for heater, degrees in dict.fromkeys(command.degrees))
            for command in executed(line, dialect)
            if command.name
        )
        text = ("; ".join(does) or "nothing").encode("ascii", "backslashreplace").decode()
        short = text if len(text) <= 60 else text[:57] + "..."
        found.append(("refused: " if dialect in refused else "passes: ") + short)
    return found


def main() -> None:
    """Write the cells of the table anew, for the lines that it has."""
    lines = [row.split("\t")[0] for row in FORMS.read_text(encoding="ascii").splitlines()[1:]]
    rows = [[shown, *cells(line_of(shown), verdict(line_of(shown)))] for shown in lines]
    FORMS.write_text("".join("\t".join(row) + "\n" for row in [["line", *DIALECTS], *rows]), encoding="ascii")


if __name__ == "__main__":
    main()
