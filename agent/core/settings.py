"""Printer settings: the closed table of names, units and limits, and the check of what a member asks for.

A setting from the network becomes G-code only through this table and `agent.core.settings_dialects`, which says how
each firmware takes and tells it. Names that are not here do nothing and are not stored. docs/protocol.md «Settings»
shows both tables; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from agent.core.printable import printable

SAVE: Final = "save"
"""Not a setting: with `true` the printer writes its settings into its EEPROM, where `[job] allow` has «eeprom»."""
JOB_NAME: Final = "JobName"
"""Not a setting: the original client's name of the job."""
NAMED: Final = 8
"""Names of a list of settings that a message for a person spells out."""

Value = int | float | bool


class Setting(msgspec.Struct, frozen=True):
    """One setting: a number within limits (inclusive), whole or not, or a switch. `default` is put before each print
    that does not say otherwise; None: what the printer had before the job that changed it. `group` must be in
    `[job] allow`, where it is not empty. `once`: it is done at once and not kept."""

    low: float
    high: float
    unit: str = ""
    whole: bool = False
    switch: bool = False
    default: Value | None = None
    group: str = ""
    once: bool = False


def _axes(name: str, setting: Setting) -> dict[str, Setting]:
    return {f"{name}_{axis}": setting for axis in "xyze"}


def _pid(name: str, high: float) -> dict[str, Setting]:
    return {f"{name}_pid_{term}": Setting(0, high, group="guards") for term in "pid"}


_ACCELERATION = Setting(10, 50_000, "mm/s²")
_PROBE_OFFSET = Setting(-200, 200, "mm")

KNOWN: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "speed_percent": Setting(10, 500, "%", whole=True, default=100),  # feed rate of all moves
        "flow_percent": Setting(50, 200, "%", whole=True, default=100),  # extrusion
        "fan_percent": Setting(0, 100, "%", whole=True, default=0),
        "print_acceleration": _ACCELERATION,
        "retract_acceleration": _ACCELERATION,
        "travel_acceleration": _ACCELERATION,
        **_axes("max_acceleration", Setting(1, 100_000, "mm/s²")),
        **_axes("jerk", Setting(0.01, 100, "mm/s")),
        "junction_deviation": Setting(0.001, 0.3, "mm"),
        "square_corner_velocity": Setting(0, 100, "mm/s"),  # Klipper's word for it
        **_axes("max_feedrate", Setting(0.1, 2_000, "mm/s")),
        "max_velocity": Setting(1, 2_000, "mm/s"),  # of the head, where the axes have no limits of their own
        **_axes("steps_per_mm", Setting(1, 20_000, "steps/mm")),
        **_pid("nozzle", 1_000),
        **_pid("bed", 5_000),
        "probe_offset_x": _PROBE_OFFSET,
        "probe_offset_y": _PROBE_OFFSET,
        "probe_offset_z": Setting(-10, 10, "mm"),
        "linear_advance": Setting(0, 10),
        "retract_length": Setting(0, 20, "mm"),
        "retract_speed": Setting(1, 200, "mm/s"),
        "retract_lift": Setting(0, 10, "mm"),
        "bed_mesh": Setting(0, 1, switch=True),
        "babystep_z": Setting(-1, 1, "mm", once=True),
    }
)
"""Every setting, in the order in which they are sent."""

ALWAYS: Final = ("speed_percent", "flow_percent")
"""The settings that are put before each print, whatever was done before."""


def check(settings: Mapping[str, Any]) -> list[str]:
    """Check settings against the limits; the names that are unknown and not stored. Raises ValueError with the
    name, the limits and the value for a known one that is out of bounds."""
    for name, setting in KNOWN.items():
        if name in settings and not _fits(setting, settings[name]):
            got = str(settings[name])[:40]
            raise ValueError(f"settings: {name}: expected {limits(setting)}, got {got!r}")
    return sorted(set(settings) - set(KNOWN) - {JOB_NAME, SAVE})


def limits(setting: Setting) -> str:
    """The limits of a setting, for a person: `10 to 500`."""
    return "true or false" if setting.switch else f"{setting.low:.10g} to {setting.high:.10g}"


def require_groups(settings: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Raise ValueError for what only the printer's owner may allow, in `[job] allow`."""
    for name in known(settings):
        group = KNOWN[name].group
        if group and group not in allowed:
            raise ValueError(f"settings: {name}: only where [job] allow has {group!r}")
    if SAVE in settings:
        if not isinstance(settings[SAVE], bool):
            raise ValueError(f"settings: {SAVE}: expected true or false, got {str(settings[SAVE])[:40]!r}")
        if settings[SAVE] and "eeprom" not in allowed:
            raise ValueError(f"settings: {SAVE}: only where [job] allow has 'eeprom'")


def known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are in the table, in its order."""
    return {name: settings[name] for name in KNOWN if name in settings}


def kept(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of the settings that are in the table those that are kept: all but what is done once."""
    return {name: value for name, value in known(settings).items() if not KNOWN[name].once}


def listed(names: list[str]) -> str:
    """Names for a message, at most NAMED of them; what came from the network is made printable."""
    shown = ", ".join(printable(name[:40]) for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _fits(setting: Setting, value: object) -> bool:
    if setting.switch or isinstance(value, bool):
        return setting.switch and isinstance(value, bool)
    if not isinstance(value, int) and (setting.whole or not isinstance(value, float)):
        return False
    return setting.low <= value <= setting.high  # NaN is not
