"""Rules of the heat monitor as a table: in which states of a heater each holds, what it is called, what is done about
it, and how long after the beginning of the fault the alarm comes at the latest (docs/heat-monitor.md)."""

from __future__ import annotations

from enum import Enum, StrEnum

import msgspec


class HeatState(Enum):
    """What a heater is doing, by its target and its temperature."""

    UNKNOWN = "target not known"  # too few readings, or none with a target
    OFF = "off"
    HEATING = "heating"  # `fall_c` or more below a target that it has not reached yet
    HOLDING = "holding"  # it has come to within `fall_c` of its target
    COOLING = "cooling"  # on, and `fall_c` or more above its target


class AlarmKind(StrEnum):
    """Kind of an alarm, as the report and the log have it."""

    OVER_LIMIT = "over_limit"
    NO_RISE = "no_rise"
    FALLING = "falling"
    ABOVE_TARGET = "above_target"
    RISING_OFF = "rising_off"
    JUMP = "jump"
    SILENT = "silent"


class Action(Enum):
    """What is done about an alarm."""

    STOP = "heaters off and emergency stop, at once"
    OFF = "heaters off; emergency stop after 5 s, unless the firmware reports every target as 0 by then"


class Rule(msgspec.Struct, frozen=True):
    """One rule. `tool`, `bed` and `chamber` are the seconds from the beginning of the fault to the alarm, at most, with
    the default thresholds and a reading at least every 5 s."""

    kind: AlarmKind
    states: frozenset[HeatState]
    meaning: str
    action: Action
    tool: int
    bed: int
    chamber: int

    def promised_s(self, heater: str) -> int:
        """Seconds to the alarm for the heater called `heater`, at most."""
        return self.tool if heater.startswith("tool") else self.bed if heater == "bed" else self.chamber


_S = HeatState
_ON = frozenset((_S.HEATING, _S.HOLDING, _S.COOLING))

RULES = (
    Rule(
        AlarmKind.OVER_LIMIT,
        frozenset(_S),
        "`limit_c` or more, whatever asked for it",
        Action.STOP,
        20,
        20,
        20,
    ),
    Rule(
        AlarmKind.NO_RISE,
        frozenset((_S.HEATING,)),
        "not `rise_c` warmer than its least in `rise_s`, or than its most in `back_s`",
        Action.OFF,
        210,
        640,
        1840,
    ),
    Rule(
        AlarmKind.FALLING,
        frozenset((_S.HOLDING,)),
        "`fall_c` below the target, and in `fall_s` not `rise_c` warmer, or not back in `back_s`",
        Action.OFF,
        240,
        900,
        2400,
    ),
    Rule(
        AlarmKind.ABOVE_TARGET,
        frozenset((_S.HOLDING, _S.COOLING)),
        "`above_c` above the target, and above the least that it has been since the target was set",
        Action.STOP,
        180,
        1200,
        3600,
    ),
    Rule(
        AlarmKind.RISING_OFF,
        frozenset((_S.OFF,)),
        "`above_c` above the least that it has been since it is off, and above what the other heaters can do to it",
        Action.STOP,
        180,
        1200,
        3600,
    ),
    Rule(
        AlarmKind.JUMP,
        _ON,
        "away from the target by `jump_c` and `jump_rate` a second from one reading to the next: three readings and "
        "4 s agree, or a third of the readings of 2 min jump",
        Action.OFF,
        130,
        130,
        130,
    ),
    Rule(
        AlarmKind.SILENT,
        _ON,
        "no reading for `silent_s` in which the firmware was not busy, or others were read",
        Action.OFF,
        140,
        140,
        140,
    ),
)

RULE_OF = {rule.kind: rule for rule in RULES}
