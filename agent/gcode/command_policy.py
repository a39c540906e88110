"""The closed table of commands: what a file may do on each firmware, and what only its owner may allow. Data alone.

A command that a firmware's table does not name is refused like one of the group `extended`. `agent.gcode.command_check`
applies the rules; docs/gcode.md «What a file may do» shows them to a person, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from agent.core.driver import COMMAND_SIZE

NEVER = "never"
"""In place of a group: no file may do it, whatever `[job] allow` says."""

GROUPS: Final = MappingProxyType(
    {
        "eeprom": "settings that survive the power switch",
        "sd": "the printer's own card: start, write, rename, delete",
        "firmware": "install or restart the firmware, restore its defaults",
        "network": "name, address, passwords, Wi-Fi",
        "baud": "speed of the serial port",
        "power": "switch the power supply off",
        "guards": "limits and watchdogs: inactivity, cold extrusion, end stops, PID, sensors, temperatures of its own",
        "pins": "outputs and buses directly, spindle, laser",
        "macros": "scripts stored in the printer, and their variables",
        "extended": "whatever the table does not know",
    }
)
"""The names for `[job] allow`, and what each is about."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What is done about a command. With neither group nor heaters it is allowed."""

    does: str = ""  # what it does, as a sentence begins with the command's name
    group: str = ""  # refused unless `[job] allow` names it, or NEVER
    only: str = ""  # letters: the group is meant only where one of them is given; empty: always
    safe: tuple[str, ...] = ()  # parameters with which it is harmless, such as "S1"; "" for none at all
    heats: Mapping[str, str] = MappingProxyType({})  # letter -> heater: that number is a temperature in °C
    letters: str = ""  # for `heats`: the other letters it may have; * for any
    text: bool = False  # what follows is text or a file's name
    dwells: bool = False  # waits for P milliseconds or S seconds
    waits: bool = False  # waits for a person


ALLOWED: Final = Rule()
TEXT: Final = Rule(text=True)
UNKNOWN: Final = Rule(group="extended", does="is not in the table of this firmware's commands")

_TOOL = {"S": "tool", "R": "tool", "B": "tool"}
_BED = {"S": "bed", "R": "bed"}
_CHAMBER = {"S": "chamber", "R": "chamber"}

_ALLOWED = """
G0-G3 G5 G6 G11 G12 G17-G23 G27-G38 G40 G42 G49 G53-G61 G68 G69 G80-G94 G161 G162 G425 M0 M1 M17 M18 M27 M31 M48 M73
M75-M78 M80 M82-M84 M92 M99-M103 M105-M111 M113 M114 M116 M119-M121 M123 M125 M144 M150 M154 M155 M163-M166 M192
M200-M210 M217 M218 M220 M221 M226 M231-M233 M240 M250 M255 M256 M280 M282 M290 M300 M340 M350 M351 M355 M360-M364
M380 M381 M400-M409 M412-M417 M420-M425 M428 M430 M493 M501 M503 M530-M532 M555-M558 M561 M566 M567 M569 M572 M573
M579 M585 M591-M593 M600 M602-M604 M665 M666 M669 M671-M673 M675 M704-M707 M710 M808 M851 M852 M860 M863 M900
M905-M907 M911-M919 M951 M955 M956
"""
_TEXTS = "M16 M115 M117 M118 M408 M409 M486 M862"


def _each(names: str, rule: Rule) -> dict[str, Rule]:
    """The rule for each of `names`: commands, and ranges of them such as `G0-G3`."""
    found = {}
    for name in names.split():
        first, _, last = name.partition("-")
        for number in range(int(first[1:]), int(last[1:] or first[1:]) + 1):
            found[f"{first[0]}{number}"] = rule
    return found


def _refused(group: str, does: str, names: str, *, only: str = "", text: bool = False) -> dict[str, Rule]:
    return _each(names, Rule(group=group, does=does, only=only, text=text))


COMMON: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        **_each(_ALLOWED, ALLOWED),
        **_each(_TEXTS, TEXT),
        **_each("M25 M601", Rule(waits=True)),
        "M291": Rule(waits=True, text=True),
        "G4": Rule(dwells=True),
        # temperatures
        "M104": Rule(heats=_TOOL, letters="T"),
        "M109": Rule(heats=_TOOL, letters="TP"),
        "M140": Rule(heats=_BED, letters="PHT"),
        "M190": Rule(heats=_BED, letters="PHT"),
        "M141": Rule(heats=_CHAMBER, letters="PHT"),
        "M191": Rule(heats=_CHAMBER, letters="PHT"),
        "M145": Rule(heats={"H": "tool", "B": "bed", "C": "chamber"}, letters="SF"),
        "G10": Rule(heats={"S": "tool", "R": "tool"}, letters="PLXYZUVWAF"),
        "M568": Rule(heats={"S": "tool", "R": "tool"}, letters="PAF"),
        # what no file may do
        "M112": Rule(group=NEVER, does="(emergency stop) in a file"),
        # eeprom
        **_refused("eeprom", "writes the printer's EEPROM", "M500 M504 M505 M910"),
        "M502": Rule(group="eeprom", does="resets the printer's settings"),
        # sd
        **_refused("sd", "works on the printer's own card", "M20-M24 M26 M28-M30 M32-M34 M36-M39", text=True),
        **_refused("sd", "works on the printer's own card", "M470-M473 M524 M559 M560 M928 M929 M1000 M1001 M1003",
                   text=True),
        # firmware
        **_refused("firmware", "replaces or restarts the firmware", "M936 M993 M994 M997 M998 M999", text=True),
        # network
        **_refused("network", "changes the printer's name, network or passwords",
                   "M510-M512 M550-M554 M586-M589 M952", text=True),
        # baud
        "M575": Rule(group="baud", does="changes the speed of the serial port"),
        # power
        "M81": Rule(group="power", does="switches the power supply off"),
        # guards
        "M85": Rule(group="guards", does="changes the guard that turns the heaters off when nothing moves"),
        **_refused("guards", "changes when an idle nozzle cools down", "M86 M87"),
        "M302": Rule(group="guards", does="allows cold extrusion", safe=("",)),
        "M211": Rule(group="guards", does="switches the software end stops off", safe=("", "S1")),
        "M143": Rule(group="guards", does="changes the temperature at which the firmware stops"),
        "M149": Rule(group="guards", does="changes the unit of temperatures", safe=("", "C")),
        **_refused("guards", "changes how a heater is controlled or measured",
                   "M301 M304-M310 M563 M570 M571 M574", text=True),
        **_refused("guards", "heats to temperatures of its own", "G26 G76 M303 M306 M701 M871", text=True),
        "M702": Rule(group="guards", does="heats to temperatures of its own", only="W"),
        "M605": Rule(group="guards", does="adds to the temperature of the other nozzle", only="R"),
        **_refused("guards", "switches a fault off", "M562 M564 M581 M582"),
        **_refused("guards", "answers or breaks off what the printer waits for", "M410 M876"),
        # pins
        **_refused("pins", "switches an output of the board", "M42 M43 M126-M129", text=True),
        **_refused("pins", "talks on a bus of the board", "M260 M261 M485 M950", text=True),
        **_refused("pins", "switches a spindle, a laser or what is in its place", "M3-M5 M7-M11 M451-M453"),
        "M122": Rule(group="pins", does="runs a test of the board", only="P"),
        "M908": Rule(group="pins", does="sets a digital potentiometer"),
        # macros
        **_refused("macros", "runs or writes a script that is stored in the printer", "M98 M703 M810-M819", text=True),
    }
)  # fmt: skip
"""The rules of every firmware, where its own row says nothing else."""

OVERRIDES: Final[Mapping[str, Mapping[str, Rule]]] = MappingProxyType(
    {
        "marlin": {},
        "marlin1": {},
        "prusa": {
            **_refused("eeprom", "writes the printer's EEPROM", "G98 G99 M44-M47 M79 M861"),
        },
        "repetier": {
            "M104": Rule(heats=_TOOL, letters="TPF"),
            "M109": Rule(heats=_TOOL, letters="TPF"),
            "M206": Rule(group="eeprom", does="writes the printer's EEPROM"),
            **_refused("guards", "stops the firmware to try its watchdog", "M251 M281"),
            "M513": ALLOWED,
            "M670": Rule(group="eeprom", does="writes the printer's EEPROM"),
        },
        "reprap": {
            "M540": Rule(group="network", does="changes the printer's name, network or passwords"),
            "M501": Rule(group="eeprom", does="runs the stored settings"),
            "M106": Rule(group="pins", does="assigns a fan to a heater's pin", only="ACHTLX", text=False),
            "M584": Rule(group="pins", does="assigns motors to outputs"),
        },
        "smoothie": {
            "M884": Rule(heats=_TOOL, letters="T"),
            "M889": Rule(heats=_TOOL, letters="T"),
            "M1000": Rule(group="extended", does="runs a command of the firmware's console", text=True),
        },
        "klipper": {},
    }
)
"""What differs, by the name of the dialect (drivers.gcode.printing.dialects)."""

DIALECTS: Final = tuple(OVERRIDES)
"""The firmwares that are told apart; any other is `GENERIC`."""

GENERIC: Final = "generic"
"""A firmware that is not known: what one of `DIALECTS` refuses is refused."""

POLICIES: Final[Mapping[str, Mapping[str, Rule]]] = MappingProxyType(
    {name: MappingProxyType({**COMMON, **changes}) for name, changes in OVERRIDES.items()}
)
"""The whole table of each firmware."""

HARMLESS: Final = frozenset(name for name in COMMON if all(policy.get(name) == ALLOWED for policy in POLICIES.values()))
"""Commands that are allowed on every firmware, whatever their parameters."""

NAMES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        **dict.fromkeys(("SAVE_CONFIG",), Rule(group="eeprom", does="rewrites the printer's configuration")),
        **dict.fromkeys(
            ("SDCARD_PRINT_FILE", "SDCARD_RESET_FILE"), Rule(group="sd", does="prints a file of the printer's own")
        ),
        **dict.fromkeys(("RESTART", "FIRMWARE_RESTART"), Rule(group="firmware", does="restarts the firmware")),
        **dict.fromkeys(
            ("EMERGENCY_STOP", "HEATER_INTERRUPT"), Rule(group=NEVER, does="stops the printer or its waiting")
        ),
        "SET_IDLE_TIMEOUT": Rule(group="guards", does="changes when idle heaters go off"),
        **dict.fromkeys(
            ("PID_CALIBRATE", "MPC_CALIBRATE", "SET_HEATER_PID", "SET_SMOOTH_TIME"),
            Rule(group="guards", does="changes how a heater is controlled"),
        ),
        **dict.fromkeys(
            ("FORCE_MOVE", "SET_KINEMATIC_POSITION"), Rule(group="guards", does="moves without knowing the limits")
        ),
        **dict.fromkeys(
            ("SET_PIN", "DEBUG_WRITE", "DEBUG_READ", "SET_DIGIPOT"),
            Rule(group="pins", does="switches an output of the board"),
        ),
        **dict.fromkeys(
            ("SET_GCODE_VARIABLE", "SAVE_VARIABLE", "UPDATE_DELAYED_GCODE", "SET_MACRO_VARIABLE"),
            Rule(group="macros", does="changes what the printer's own macros do"),
        ),
        "RUN_SHELL_COMMAND": Rule(group="extended", does="runs a program on the printer's computer"),
        "PAUSE": Rule(waits=True),
    }
)
"""Klipper's commands that have names. Any other name is a macro that the printer's owner wrote into its configuration:
it is allowed, and its arguments that look like temperatures are held to the limits."""

TEXT_LETTERS: Final[Mapping[str, str]] = MappingProxyType(
    {"marlin": "", "klipper": "", "marlin1": "G", "prusa": "G", "repetier": "GM", "reprap": "GM", "smoothie": "GM"}
)
"""Letters that make a firmware take up a command in the midst of a text, where they stand before a number."""

WHOLE_TEXTS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {name: frozenset(("M117",)) for name in ("repetier", "reprap", "smoothie")}
)
"""Commands whose text such a firmware takes as a whole after all."""

NAME_LETTERS: Final[Mapping[str, str]] = MappingProxyType(
    {"marlin": "", "klipper": "", "reprap": "", "marlin1": "GM", "prusa": "GM", "repetier": "GM", "smoothie": "GM"}
)
"""The same for a line that begins with no command: a name, or `@`."""

BREAKS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "marlin": {"\\": "as the escape of what follows"},
        "marlin1": {"*": "as the beginning of the checksum"},
        "prusa": {"*": "as the beginning of the checksum"},
        "repetier": {"*": "as the beginning of the checksum", ":": "as the end of the line"},
        "reprap": {"*": "as the beginning of the checksum"},
        "smoothie": {"*": "as the beginning of the checksum"},
        "klipper": {},
    }
)
"""Characters that a firmware takes otherwise than as themselves, and as what."""

LINE_SIZES: Final[Mapping[str, int]] = MappingProxyType(
    {**dict.fromkeys(OVERRIDES, COMMAND_SIZE - 1), "klipper": 4_000}
)
"""Bytes of a line as it is sent that a firmware takes; Klipper, which sets no limit, as many as are kept of a line of a
file (agent.gcode.sendable)."""

LISTS: Final = frozenset(("reprap",))
"""Firmwares that take lists of numbers, `E1:2`."""
