"""Parse a printer's replies, line by line, into events: ok, resend, error, temperatures, host actions, restarts
(docs/serial.md §3–5, §8, §19–22, §25, §30, §k1–k3). Pure; never raises."""

from __future__ import annotations

import math
import re
from enum import IntEnum, auto
from typing import Final

import msgspec


class ReplyKind(IntEnum):
    """Kind of a reply. The text of each event is described beside it."""

    OK = auto()  # one credit; text: what followed it
    RESEND = auto()  # number: the line asked for, -1 when it cannot be read
    ERROR = auto()  # an `Error:` line that is not fatal
    FATAL = auto()  # the printer has halted; text: its reason
    REFUSED = auto()  # `!!`: the line in flight is not executed; text: why
    SHUTDOWN = auto()  # Klipper has shut down, and says why to the next line
    BUSY = auto()  # still at work on the line in flight
    BUSY_USER = auto()  # waits for the person at the printer
    START = auto()  # the board has (re)started, or is about to
    READY = auto()  # Klipper takes lines from now on
    TEMPERATURES = auto()  # readings
    ACTION = auto()  # text: what is asked for, without the slashes and `action:`
    WAIT = auto()  # idle (Repetier)
    CAPABILITY = auto()  # text: NAME, number: its value
    FIRMWARE = auto()  # the answer to M115
    SAVED = auto()  # `Done saving file`
    DAMAGED = auto()  # noise, perhaps an answer before it was garbled
    UNKNOWN = auto()  # the line in flight, or the one before, is no command that it knows; text: which
    TEXT = auto()  # anything else, echoes and positions among it


class Reading(msgspec.Struct, frozen=True):
    """Temperature reading of one heater, °C. `target` is None where the line has none; `power` is 0 to 127, None where
    the firmware does not tell it."""

    name: str
    actual: float
    target: float | None
    power: int | None = None


class Event(msgspec.Struct, frozen=True):
    """One event of a line; a line may hold several."""

    kind: ReplyKind
    text: str = ""
    number: int = -1
    readings: tuple[Reading, ...] = ()


PLAIN_OK: Final = (Event(ReplyKind.OK),)
_BANNERS: Final = frozenset((b"//", b"Re", b"Sm", b"Em", b"HA", b"!!"))
"""How halts and banners of firmwares other than Marlin begin."""

_RESEND = re.compile(r"(?:resend\s*:?|rs\b)\s*[nN]?\s*:?\s*(?:([0-9]{1,10})(?=\s|$))?", re.IGNORECASE)
# The axis-like letters X, Y, Z, E of M114, the power fields `@:` and `B@:`, and the countdown `W:` are not heaters.
_HEATER = re.compile(
    r"(?<![A-Za-z0-9@_])([TBC])([0-9]{0,2})\s*:\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)|[+-]?nan|[+-]?inf)"
    r"(?:\s*/\s*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)))?",
    re.IGNORECASE,
)
# `@:` is the tool's power, `@1:` that of another one, `B@:` and `C@:` that of bed and chamber (docs/serial.md §22).
_POWER = re.compile(r"(?<!\S)([BC]?)@([0-9]{0,2})\s*:\s*([0-9]{1,3})(?![0-9.])", re.IGNORECASE)
_HAS_HEATER = re.compile(r"(?:^|[\s/])[TB][0-9]{0,2}\s*:\s*[-+.0-9ni]")
# Glued to the end of a reading or of a file's name (docs/serial.md §4). A word of its own (`echo:SD card ok`) is no
# credit.
_GLUED_OK = re.compile(r"(?<=[0-9])ok(?: [NPB]?[0-9]+)*$")
_GLUED_FILE = re.compile(r"^File .*(?<=\S)ok$")
# What a garbled `ok`, `ok N12 P15 B3`, `Resend: 5` or `Error:` looks like. Asking in vain costs little (docs/serial.md
# §4).
_DAMAGED = re.compile(
    r"[\x00-\x08\x0e-\x1f\ufffd]|^.{1,3}$|^(?:.k|o.)\b|(?:^|\W)N[0-9]+ P[0-9]+|R.?send|.esend|Last Line|Err.r|.rror:"
)
_UNKNOWN = re.compile(
    r"^(?:echo:|// ?|error: *|warning: *)?(?:unknown command|command is not supported|bad command):\s*\"?([^\"]+)",
    re.IGNORECASE,
)
_CAPABILITY = re.compile(r"Cap:\s*([A-Za-z0-9_]+)\s*:\s*([0-9])")
_LAST_LINE = re.compile(r"Last Line:\s*([0-9]{1,10})$", re.IGNORECASE)
_EXPECTED_LINE = re.compile(r"expected line ([0-9]{1,10}) got [0-9]+$", re.IGNORECASE)  # Repetier
_GARBAGE = re.compile(r"^[^\x00-\x7f](?:.*[^\x00-\x7f])?")
_RESTARTED = re.compile(r"RepRapFirmware\b|Smoothie$|// ?Klipper state: Disconnect")
_READY = re.compile(r"// ?Klipper state: Ready")
_SHUTDOWN = re.compile(r"// ?(?:Klipper state: Shutdown|Printer is shutdown)")
_HALTED = re.compile(r"Emergency Stop!|HALTED,|!!$")
_FATAL = (
    "kill() called",
    "printer halted",
    "printer stopped",
    "mintemp",
    "maxtemp",
    "thermal runaway",
    "heating failed",
    "thermal malfunction",
    "heating fault",
    "halt asserted",
    "decoupled",
)


def parse(line: bytes) -> tuple[Event, ...]:
    """Parse one line into its events, an `ok` first. The first two bytes decide most lines before anything slower."""
    head = line[:2]
    if head == b"ok":
        return PLAIN_OK if len(line) == 2 else _ok(line[2:])
    text = line.decode("utf-8", "replace").replace("\0", "").strip()
    if head in (b"T:", b" T", b"B:", b"T0"):
        return _glued(text)
    if text.startswith("ok"):  # after spaces or NULs of a board that has just been switched on
        return _ok(text[2:].encode())
    if head in _BANNERS and (found := _other_dialects(text)):
        return found
    if text.startswith("//"):
        return _action(text)
    lower = text.lower()
    for prefix, handler in _PREFIXES:
        if lower.startswith(prefix):
            return handler(text)
    banner = _GARBAGE.sub("", text)
    if text.endswith("start") and _is_start(text):
        return (Event(ReplyKind.START, text),)
    return (_banner(banner) if banner is not text else ()) or _glued(text)


def _other_dialects(text: str) -> tuple[Event, ...]:
    """Restarts and halts of firmwares that have no `start` and no `Error:` for them (docs/serial.md, Dialects)."""
    if found := _banner(text):
        return found
    if _SHUTDOWN.match(text):
        return (Event(ReplyKind.SHUTDOWN, text.strip("/ ")),)
    return (Event(ReplyKind.FATAL, text.strip("!/ ") or "halted"),) if _HALTED.match(text) else ()


def _is_start(text: str) -> bool:
    """Whether a text that ends with `start` is that banner: boot garbage may come before it, a word that merely ends so
    (`restart`) may not (docs/serial.md §21)."""
    return text == "start" or not text.rpartition(" ")[2].isascii()


def _banner(text: str) -> tuple[Event, ...]:
    """Parse what a firmware without `start` says when it starts anew or is ready; nothing for any other text."""
    if _READY.match(text):
        return (Event(ReplyKind.READY, text),)
    return (Event(ReplyKind.START, text),) if _RESTARTED.match(text) else ()


def _ok(rest: bytes) -> tuple[Event, ...]:
    text = rest.decode("utf-8", "replace").strip()
    if rest[:1].isalpha() and not _HAS_HEATER.search(text):
        return (Event(ReplyKind.DAMAGED, "ok" + text),)  # `okay`, noise
    readings = readings_in(text) if _HAS_HEATER.search(text) else ()
    credit = Event(ReplyKind.OK, text, readings=readings)
    return (credit, Event(ReplyKind.TEMPERATURES, text, readings=readings)) if readings else (credit,)


def _glued(text: str) -> tuple[Event, ...]:
    """Parse a report or any other text, possibly with an `ok` glued to its end."""
    found = _GLUED_OK.search(text)
    if found:
        credit: tuple[Event, ...] = (Event(ReplyKind.OK, text[found.start() + 2 :].strip()),)
        text = text[: found.start()]
    else:
        credit = PLAIN_OK if _GLUED_FILE.match(text) else ()
    if text[:4].lower() != "echo" and _HAS_HEATER.search(text):
        return (*credit, Event(ReplyKind.TEMPERATURES, text, readings=readings_in(text)))
    return (*credit, Event(ReplyKind.DAMAGED if not credit and _DAMAGED.search(text) else ReplyKind.TEXT, text))


def _resend(text: str) -> tuple[Event, ...]:
    found = _RESEND.match(text)
    return (Event(ReplyKind.RESEND, text, int(found[1]) if found and found[1] else -1),)


def _error(text: str) -> tuple[Event, ...]:
    lower = text.lower()
    kind = ReplyKind.FATAL if any(sign in lower for sign in _FATAL) else ReplyKind.ERROR
    return (Event(kind, text.partition(":")[2].strip() if ":" in text else text),)


def _refused(text: str) -> tuple[Event, ...]:
    """Parse `!! reason`: a line that is not executed (docs/serial.md §k1), or a halt."""
    fatal = any(sign in text.lower() for sign in _FATAL)
    return (Event(ReplyKind.FATAL if fatal else ReplyKind.REFUSED, text[2:].strip()),)


def _busy(text: str) -> tuple[Event, ...]:
    return (Event(ReplyKind.BUSY_USER if "paused for" in text.lower() else ReplyKind.BUSY, text),)


def _action(text: str) -> tuple[Event, ...]:
    body = text[2:].strip()
    name, _, rest = body.partition(":")
    if name.lower() == "action":
        return (Event(ReplyKind.ACTION, rest.strip()),)
    return _unknown(text) or (Event(ReplyKind.TEXT, text),)


def _requested(action: str, text: str) -> tuple[Event, ...]:
    """Parse what Repetier asks of its host (docs/serial.md §32f): a host action in other words."""
    return (Event(ReplyKind.ACTION, f"{action} {text.partition(':')[2].strip()}".strip()),)


def _unknown(text: str) -> tuple[Event, ...]:
    """Parse what firmwares say of a command that they do not know (docs/serial.md §25, §k4); nothing for other text."""
    found = _UNKNOWN.match(text)
    return (Event(ReplyKind.UNKNOWN, found[1].strip()),) if found else ()


def _perhaps_unknown(text: str) -> tuple[Event, ...]:
    return _unknown(text) or _glued(text)


def _capability(text: str) -> tuple[Event, ...]:
    found = _CAPABILITY.match(text)
    return (Event(ReplyKind.CAPABILITY, found[1].upper(), int(found[2])) if found else Event(ReplyKind.TEXT, text),)


_PREFIXES: Final = (
    ("resend", _resend),
    ("rs ", _resend),
    ("error:", lambda text: _unknown(text) or _error(text)),
    ("echo:unknown command", _perhaps_unknown),
    ("unknown command", _perhaps_unknown),
    ("warning:", _perhaps_unknown),
    ("!!", _refused),
    (":", _error),  # the second line of Marlin 1's `Error:0`, `: Extruder switched off. MINTEMP triggered !`
    ("fatal:", lambda text: (Event(ReplyKind.FATAL, text[6:].strip()),)),
    ("requestpause:", lambda text: _requested("pause", text)),
    ("requestcontinue:", lambda text: _requested("resume", text)),
    ("requeststop:", lambda text: _requested("cancel", text)),
    ("busy:", _busy),
    ("echo:busy:", _busy),
    ("echo: busy:", _busy),
    ("cap:", _capability),
    ("firmware_name:", lambda text: (Event(ReplyKind.FIRMWARE, text),)),
    ("wait", lambda text: (Event(ReplyKind.WAIT if text.lower() == "wait" else ReplyKind.TEXT, text),)),
    ("done saving file", lambda text: (Event(ReplyKind.SAVED, text),)),
)


def next_line_in(error: str) -> int:
    """The number of the line that an `Error:` says is wanted next; -1 when it says none."""
    if found := _LAST_LINE.search(error):
        return int(found[1]) + 1
    found = _EXPECTED_LINE.search(error)
    return int(found[1]) if found else -1


def readings_in(text: str) -> tuple[Reading, ...]:
    """Parse the heaters of a temperature line. `T:` is `tool0` unless `T0:` is there too; a reading that is not a
    number (an unplugged thermistor) is left out."""
    found: dict[str, Reading] = {}
    powers = {_name(letter or "T", index): int(power) for letter, index, power in _POWER.findall(text)}
    for letter, index, actual, target in _HEATER.findall(text):
        value = float(actual)
        if not math.isfinite(value):
            continue
        if index and letter.upper() != "T":
            continue
        name = _name(letter, index)
        if name in found and not index:
            continue
        aim = float(target) if target else math.inf
        found[name] = Reading(name, value, aim if math.isfinite(aim) else None, powers.get(name))
    return tuple(found.values())


def _name(letter: str, index: str) -> str:
    """The heater's name; `T` alone is the first tool."""
    return f"tool{int(index)}" if index else {"T": "tool0", "B": "bed", "C": "chamber"}[letter.upper()]
