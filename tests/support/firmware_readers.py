"""What firmwares make of a line on the wire: small models of their parsers, written from reading their sources.

They share no code with the agent's reader: they judge it. Each takes a line as it is sent (number, code, checksum) and
gives all that the firmware would execute. Where versions or build options differ, the model does what any of them does.

marlin     Marlin 2.1 (gcode/queue.cpp 012c1a4d, gcode/parser.cpp 0007ebf3, gcode/temp/M104_M109.cpp 015c54c5)
marlin1    Marlin 1.0.x: the first G in the line, else the first M, else T; strtod; 16-bit int
prusa      Prusa-Firmware 3.x (cmdqueue.cpp 001876a8, cmdqueue.h 05357d11): as marlin1, quotes count; 3.14 looks at the
           first letter only
repetier   Repetier-Firmware 0.92 and 1.0 (gcode.cpp 01118119): first letters of each kind anywhere, «:» ends a line;
           S has O added (Commands.cpp)
reprap     RepRapFirmware 3 (GCodeBuffer/StringParser.cpp 02f36944): a line is cut at each G and M outside of quotes
smoothie   Smoothieware edge (GcodeDispatch.cpp, Gcode.cpp 00669816 and later): cut at each G and M
klipper    Klipper (klippy/gcode.py 01b3a6a8, extras/heaters.py 004716a6)
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable

import msgspec

UNBOUNDED = math.inf


class Executed(msgspec.Struct, frozen=True):
    """A command that a firmware executes, and the targets in °C that it sets."""

    name: str
    degrees: tuple[tuple[str, float], ...] = ()
    words: str = ""  # what follows the name, for commands that are refused only with some parameters


_HEATER = {104: "tool", 109: "tool", 140: "bed", 190: "bed", 141: "chamber", 191: "chamber"}
_STRTOD = re.compile(r"\s*([-+]?(?:0[xX][0-9a-fA-F]+|inf|nan|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))", re.IGNORECASE)
_DECIMAL = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_INTEGER = re.compile(r"\s*([-+]?\d+)")
_PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")


def strtod(text: str, *, wide: bool = True) -> float:
    """C's: `wide` with hexadecimal numbers and inf, as newlib has it and AVR's library has not."""
    found = (_STRTOD if wide else _DECIMAL).match(text)
    if found is None:
        return 0.0
    number = found[1].lower()
    return float(int(number, 16)) if "x" in number else float(number)


def strtol(text: str) -> int:
    """C's, base 10."""
    found = _INTEGER.match(text)
    return int(found[1]) if found else 0


def int16(number: float) -> int:
    """What a 16-bit int keeps of a number."""
    if not math.isfinite(number):
        return 0x7FFF
    return (int(number) + 0x8000) % 0x10000 - 0x8000


def marlin(wire: bytes) -> list[Executed]:
    """Marlin 2."""
    kept: list[str] = []
    escaped = False
    for char in wire.decode("latin-1").rstrip("\n"):
        if not escaped and char == "\\":
            escaped = True
            continue
        if char == ";" and not escaped:
            break
        escaped = False
        if char == "\b":
            kept[-1:] = []
        elif len(kept) < 95:
            kept.append(char)
    command = "".join(kept).lstrip(" ")
    if command.startswith("N"):
        if "M110" in command:
            return [Executed("M110")]
        body, star, checksum = command.rpartition("*")
        if not star or strtol(checksum) != _xor(body):
            return []
    found = []
    for text in dict.fromkeys((command, command.upper())):  # GCODE_CASE_INSENSITIVE is an option
        found += _marlin_parse(text)
    return found


def _marlin_parse(text: str) -> list[Executed]:
    text = text.lstrip(" ")
    if text[:1] == "N" and text[1:2] and text[1:2] in "+-0123456789":
        text = text.partition(" ")[2].lstrip(" ")
    text = text.partition("*")[0]
    letter, rest = text[:1], text[1:].lstrip(" ")
    digits = re.match(r"\d+", rest)
    if letter not in ("G", "M", "T") or digits is None:
        return []
    number = int(digits[0]) % 0x10000
    rest = rest[digits.end() :]
    rest = re.sub(r"^\.\d*", "", rest).lstrip(" ")
    name = letter if letter == "T" else f"{letter}{number}"
    if letter == "M" and number in (16, 23, 28, 30, 117, 118, 928, *range(810, 820)):
        return [Executed(name, (), rest)]
    given: list[tuple[str, str]] = []
    while rest:
        param, rest = rest[0], rest[1:]
        if "A" <= param <= "Z":
            rest = rest.lstrip(" ")
            numeric = _PLAIN.match(rest)
            given.append((param, numeric[0] if numeric else ""))
        if not ("A" <= rest[:1] <= "Z"):
            rest = re.sub(r"^[0-9.+-]+", "", rest).lstrip(" ")
    degrees = []
    heater = _HEATER.get(number, "") if letter == "M" else ""
    for param, value in given:
        if heater and param == "I" and value:
            degrees.append((heater, UNBOUNDED))  # a preset: whatever is stored
        elif (heater and param in "SR" and value) or (heater == "tool" and param == "B" and value):
            degrees.append((heater, float(int16(float(value)))))
        elif heater == "tool" and param == "F" and value and float(value):
            degrees.append((heater, UNBOUNDED))  # AUTOTEMP up to what was set before
        elif name == "M145" and param in "HBC" and value:
            degrees.append(({"H": "tool", "B": "bed", "C": "chamber"}[param], float(value)))
    return [Executed(name, tuple(degrees), " ".join(p + v for p, v in given))]


def marlin1(wire: bytes) -> list[Executed]:
    """Marlin 1.0."""
    return _code_seen(wire.decode("latin-1").rstrip("\n").partition(";")[0], quotes=False)


def prusa(wire: bytes) -> list[Executed]:
    """Prusa's, old and new."""
    line = "".join(map(chr, (byte for byte in wire if byte < 128))).rstrip("\n").partition(";")[0]
    head = line[line.find(" ") + 1 :].partition("*")[0].lstrip(" ")
    if head.startswith(("PRUSA", "CRASH_", "TMC_")):
        return [Executed("PRUSA")]
    if "M117" in line and line.partition("M117")[0].count('"') % 2 == 0:
        return [Executed("M117")]
    return _code_seen(line, quotes=True)


def _code_seen(line: str, *, quotes: bool) -> list[Executed]:
    number, _, rest = line.partition(" ")
    body, star, checksum = (number + " " + rest).partition("*")
    if not star or strtol(checksum) != _xor(body):
        return []
    code = "$" + body[1:]

    def seen(letter: str) -> str | None:
        at = code.find(letter)
        if at < 0 or (quotes and code[:at].count('"') % 2):
            return None
        return code[at + 1 :]

    for letter in "GMTD" if quotes else "GMT":
        value = seen(letter)
        if value is None:
            continue
        command = int16(strtod(value))
        degrees = []
        heater = _HEATER.get(command, "") if letter == "M" else ""
        for param in "SRB" if heater == "tool" else "SR" if heater else "":
            if (target := seen(param)) is not None:
                degrees.append((heater, float(int16(strtod(target)))))
        if heater == "tool" and (factor := seen("F")) is not None and strtod(factor):
            degrees.append((heater, UNBOUNDED))
        return [Executed(letter if letter == "T" else f"{letter}{command}", tuple(degrees), _words(value))]
    return []


def repetier(wire: bytes) -> list[Executed]:
    """Repetier-Firmware: 0.92 finds the first letter of each kind, 1.0 reads on and takes either case."""
    found = []
    line = wire.decode("latin-1").rstrip("\n").partition(";")[0]
    for part in line.split(":"):
        for text in dict.fromkeys((part, re.split(r"[(%]", part)[0].upper())):
            found += _repetier_parse(text)
    return found


def _repetier_parse(line: str) -> list[Executed]:
    body, star, checksum = line.partition("*")
    if star and strtol(checksum) != _xor(body) and body == body.upper():
        return []
    found: list[Executed] = []
    at = body.find("M")
    m = strtol(body[at + 1 :]) & 0xFFFF if at >= 0 else None
    if m in (20, 23, 28, 29, 30, 32, 36, 117, 531):
        return [Executed(f"M{m}")]
    values = {letter: [body[i + 1 :] for i, char in enumerate(body) if char == letter] for letter in "GMTSRPOHI"}
    for text in values["G"]:
        found.append(Executed(f"G{strtol(text) & 0xFFFF}", (), _words(text)))
    for text in values["M"]:
        command = strtol(text) & 0xFFFF
        heater = _HEATER.get(command, "")
        degrees: list[tuple[str, float]] = []
        if heater:
            offset = max([strtod(value, wide=False) for value in values["O"]], default=0.0)
            degrees = [(heater, strtol(value) + max(offset, 0.0)) for value in values["S"] + values["R"]]
            if values["H"] and heater == "tool":
                degrees.append((heater, UNBOUNDED))  # the stored preheat temperature
        found.append(Executed(f"M{command}", tuple(degrees), _words(text)))
    return found


def reprap(wire: bytes) -> list[Executed]:
    """RepRapFirmware 3, machine type FFF."""
    line = wire.decode("latin-1").rstrip("\n")
    if "\x7f" in line:
        return []
    line = re.sub(r"^[Nn]\d+[ \t]*", "", line)
    body, star, _ = _outside(line, "*")  # what is behind it is a checksum, or the line is asked for again
    if star and _ != str(_xor(wire.decode("latin-1").rstrip("\n")[: -len(_) - 1])):
        return []
    code = _outside(body, ";")[0]
    if re.match(r"(?:var|set|echo|global|skip)(?=[ \t{\"(]|$)", code):
        return [Executed("meta")]
    found: list[Executed] = []
    while code:
        letter = code[0].upper()
        head = re.match(r"(-?\d+)(?:\.\d)?[ \t]*", code[1:])
        if letter not in "GMT" or not letter:
            break
        number = int(head[1]) if head else None
        start = 1 + (head.end() if head else 0)
        if letter == "M" and number == 117:
            found.append(Executed("M117"))
            break
        stop = _next_command(code, start)
        span = code[start:stop]
        name = "T" if letter == "T" else f"{letter}{number}"
        found.append(Executed(name, tuple(_reprap_degrees(name, number, span)), span.strip()))
        code = code[stop:]
    return found


def _outside(line: str, wanted: str) -> tuple[str, str, str]:
    quoted, braces = False, 0
    for at, char in enumerate(line):
        if quoted:
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char in "{}":
            braces = max(0, braces + (1 if char == "{" else -1))
        elif char == wanted and (wanted != "*" or not braces):
            return line[:at], wanted, line[at + 1 :]
    return line, "", ""


def _next_command(code: str, start: int) -> int:
    quoted, braces, escaped = False, 0, False
    for at in range(start, len(code)):
        char = code[at]
        if char == "'":
            escaped = not quoted
            continue
        if char == '"':
            quoted = not quoted
        elif not quoted:
            if char == "{":
                braces += 1
            elif braces:
                braces -= char == "}"
            elif not escaped and char.upper() in "GM":
                return at
        escaped = False
    return len(code)


def _reprap_degrees(name: str, number: int | None, span: str) -> list[tuple[str, float]]:
    heater = {"G10": "tool", "M568": "tool"}.get(name) or (_HEATER.get(number or -1, "") if name[0] == "M" else "")
    found = []
    if heater:
        for letter in re.finditer(r"[SRsr](\{[^}]*\}|[^A-DF-Za-df-z \t]*)", re.sub(r'"[^"]*"', '""', span)):
            for value in letter[1].split(":"):
                found.append((heater, UNBOUNDED if value.startswith("{") else strtod(value, wide=False)))
    return found


def smoothie(wire: bytes) -> list[Executed]:
    """Smoothieware, as it comes over the serial port: Ctrl-X halts."""
    line = wire.decode("latin-1").rstrip("\n")
    if "\x18" in line:
        return [Executed("M112")]
    if not line or line[0] not in "GMTSN":
        return [Executed("console")] if line[:1].islower() or line[:1] == "$" else []
    if line[0] == "N":
        body, star, checksum = line.partition("*")
        if star and strtol(checksum) != _xor(body):
            return []
        line = body.lstrip("N0123456789.,- ")
    line = re.split(r"[;(]", line)[0]
    found = []
    while line:
        cut = min((at for at in (line.find("G", 2), line.find("M", 2)) if at >= 0), default=-1)
        single, line = (line, "") if cut < 0 else (line[:cut], line[cut:])
        m, g = single.find("M"), single.find("G")
        if g >= 0:
            found.append(Executed(f"G{strtol(single[g + 1 :])}", (), _words(single[g + 1 :])))
        if m >= 0:
            command = strtol(single[m + 1 :])
            if command == 117:
                found.append(Executed("M117"))
                break
            heater = {**_HEATER, 884: "tool", 889: "tool"}.get(command, "")
            at = single.find("S")
            degrees = ((heater, strtod(single[at + 1 :])),) if heater and at >= 0 else ()
            found.append(Executed(f"M{command}", degrees, _words(single[m + 1 :])))
    return found


def klipper(wire: bytes) -> list[Executed]:
    """Klipper."""
    try:
        text = wire.decode("utf-8")
    except UnicodeDecodeError:
        return []
    found = []
    for whole in text.rstrip("\n").split("\n"):
        origin = whole.strip()
        line = origin.partition(";")[0]
        parts = re.split(r"([A-Z_]+|[A-Z*])", line.upper())
        command = "".join(parts[3:5] if "".join(parts[:2]) == "N" else parts[:3]).strip()
        params = {parts[i]: parts[i + 1].strip() for i in range(1, len(parts), 2)}
        heater = _HEATER.get(strtol(command[1:]), "") if re.fullmatch(r"M(?:104|109|140|190|141|191)", command) else ""
        if heater:
            found.append(Executed(command, ((heater, _python_float(params.get("S"))),)))
        elif re.fullmatch(r"[GM]\d+", command):
            found.append(Executed(command, (), _words(line.upper().partition(command)[2])))
        elif re.fullmatch(r"[A-Z_][A-Z0-9_]*", command) and not re.fullmatch(r"[A-Z]\d.*", command):
            found.append(_klipper_named(command, origin))
    return found


def _klipper_named(command: str, origin: str) -> Executed:
    start = len(command)
    end = len(origin)
    if origin[:start].upper() != command:
        start += origin.upper().find(command)
        star = origin.rfind("*")
        if star >= 0 and origin[star + 1 :].isdigit():
            end = star
    lexer = shlex.shlex(origin[start:end], posix=True)
    lexer.whitespace_split = True
    lexer.commenters = "#;"
    try:
        pairs = {key.upper(): value for key, value in (word.split("=", 1) for word in lexer)}
    except ValueError:
        return Executed("")
    degrees = []
    if command == "SET_HEATER_TEMPERATURE":
        heater = pairs.get("HEATER")
        if heater is None:
            return Executed("")
        limit = "bed" if "bed" in heater.lower() else "tool" if heater.startswith("extruder") else "chamber"
        degrees = [(limit, _python_float(pairs.get("TARGET")))]
    else:  # a macro of the owner's: these are what it may hand to a heater
        for key, value in pairs.items():
            if re.search(r"TEMP$|TEMP_|^(?:BED|EXTRUDER|HOTEND|NOZZLE|CHAMBER)$", key):
                limit = "bed" if "BED" in key else "chamber" if "CHAMBER" in key else "tool"
                degrees.append((limit, _python_float(value)))
    return Executed(command, tuple(degrees))


def _python_float(value: str | None) -> float:
    try:
        number = float(value or 0.0)
    except ValueError:
        return 0.0
    return 0.0 if math.isnan(number) else number


def _words(text: str) -> str:
    return re.sub(r"^\s*[-+]?[\d.]+", "", text).strip()


def _xor(text: str) -> int:
    total = 0
    for char in text:
        total ^= ord(char)
    return total & 0xFF


READERS: dict[str, Callable[[bytes], list[Executed]]] = {
    "marlin": marlin,
    "marlin1": marlin1,
    "prusa": prusa,
    "repetier": repetier,
    "reprap": reprap,
    "smoothie": smoothie,
    "klipper": klipper,
}
