"""Table of firmware dialects: what each takes, refuses, asks for again, and sends (docs/serial.md, Dialects).

To add one: a `Dialect`, made from the nearest by `replace`, and its place in `_ALL`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from drivers.simulated.dialect import ChecksumRule, Dialect, LineVerdict

WAIT_S = 1.0
"""Seconds with nothing to do until `wait` is said, where it is."""

_MARLIN_ERRORS: Mapping[LineVerdict, bytes] = MappingProxyType(
    {
        LineVerdict.WRONG_NUMBER: b"Error:Line Number is not Last Line Number+1, Last Line: %(last)d",
        LineVerdict.WRONG_CHECKSUM: b"Error:checksum mismatch, Last Line: %(last)d",
        LineVerdict.NO_CHECKSUM: b"Error:No Checksum with line number, Last Line: %(last)d",
        LineVerdict.NO_NUMBER: b"Error:No Line Number with checksum, Last Line: %(last)d",
    }
)
_MARLIN_HEATERS: Mapping[str, bytes] = MappingProxyType(
    {
        "heating-failed": b"Heating failed, system stopped! Heater_ID: 0",
        "thermal-runaway": b"Thermal Runaway, system stopped! Heater_ID: 0",
        "mintemp": b"MINTEMP triggered, system stopped! Heater_ID: 0",
    }
)


MARLIN = Dialect(
    "marlin",
    identity=(
        "FIRMWARE_NAME:Marlin 2.1.2 (Dec  1 2022 00:00:00) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine} EXTRUDER_COUNT:1 UUID:{uuid}"
    ),
    banner=(
        "start\nMarlin 2.1.2\n"
        "echo: Last Updated: 2022-12-01 | Author: (none, default config)\n"
        "echo: Compiled: Dec  1 2022\n"
        "echo: Free Memory: 3793  PlannerBufferBytes: 1200\n"
        "echo:Hardcoded Default Settings Loaded\n"
    ),
    errors=_MARLIN_ERRORS,
    heaters=_MARLIN_HEATERS,
    capabilities=True,
    stale=2,
    m110_anywhere=True,
    probing=MappingProxyType({"G29": b"Probing mesh point %(point)d/%(points)d."}),
    stop_button=b"//action:cancel",
)

MARLIN1 = replace(
    MARLIN,
    name="marlin1",
    identity=(
        "FIRMWARE_NAME:Marlin 1.1.0-RC7 (Github) SOURCE_CODE_URL:https://github.com/MarlinFirmware/Marlin "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine} EXTRUDER_COUNT:1 UUID:{uuid}"
    ),
    banner=(
        "start\necho:Marlin 1.1.0-RC7\n"
        "echo: Last Updated: 2016-07-31 12:00 | Author: (none, default config)\n"
        "Compiled: Nov 20 2016\necho: Free Memory: 5063  PlannerBufferBytes: 1232\n"
        "echo:Hardcoded Default Settings Loaded\n"
    ),
    capabilities=False,
    stale=0,
    lone_checksum=False,
    auto_report=False,
    actions=False,
    prompts=False,
    stop_button=b"",
    lacks=frozenset({"M876", "M118"}),
    stopped=(b"Error:Printer halted. kill() called!",),
)
"""Before the capability lines of 1.1."""

MARLIN1_0 = replace(
    MARLIN1,
    name="marlin1.0",
    identity=(
        "FIRMWARE_NAME:Marlin V1; Sprinter/grbl mashup for gen6 "
        "FIRMWARE_URL:https://github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0 "
        "MACHINE_TYPE:{machine} EXTRUDER_COUNT:1 UUID:{uuid}"
    ),
    banner=(
        "start\necho:Marlin1.0.2\necho: Last Updated: Jan 18 2015 | Author: (none, default config)\n"
        "Compiled: Jan 18 2015\necho: Free Memory: 5400  PlannerBufferBytes: 1232\n"
        "echo:Hardcoded Default Settings Loaded\n"
    ),
    m110_outer=True,
    busy=False,
    early=(b"M112",),
    lacks=MARLIN1.lacks | {"M108", "M410"},
)

PRUSA = replace(
    MARLIN,
    name="prusa",
    identity=(
        "FIRMWARE_NAME:Prusa-Firmware 3.14.1 based on Marlin FIRMWARE_URL:https://github.com/prusa3d/Prusa-Firmware "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine} EXTRUDER_COUNT:1 UUID:{uuid}\n"
        "Cap:AUTOREPORT_TEMP:1\nCap:AUTOREPORT_FANS:1\nCap:AUTOREPORT_POSITION:1\nCap:EXTENDED_M20:1\nCap:PRUSA_MMU2:1"
    ),
    banner=(
        "start\necho: 3.14.1-8237\necho: Last Updated: Sep 11 2024 12:00:00 | Author: (none, default config)\n"
        "Compiled: Sep 11 2024\necho: Free Memory: 2367  PlannerBufferBytes: 1312\n"
        "echo:Hardcoded Default Settings Loaded\n"
    ),
    capabilities=False,
    stale=0,
    lone_checksum=False,
    m110_anywhere=False,
    temperatures="T:{t:.1f} /{tt:.1f} B:{b:.1f} /{bt:.1f} T0:{t:.1f} /{tt:.1f} @:{tp} B@:{bp} P:0.0 A:27.4",
    early=(b"M112",),
    early_numbered=True,
    prompts=False,
    probing=MappingProxyType({"G80": b""}),
    lacks=frozenset({"M108", "M410", "M876"}),
    stopped=(b"Error:Printer halted. kill() called!",),
)

REPETIER = replace(
    MARLIN,
    name="repetier",
    identity=(
        "FIRMWARE_NAME:Repetier_0.92.9 FIRMWARE_URL:https://github.com/repetier/Repetier-Firmware/ "
        "PROTOCOL_VERSION:1.0 MACHINE_TYPE:{machine} EXTRUDER_COUNT:1 REPETIER_PROTOCOL:3"
    ),
    banner="start\nInfo:External Reset\nFree RAM:5467\nAutoretract:0\n",
    capabilities=False,
    stale=0,
    checksums=ChecksumRule.ALL,
    checksum_first=True,
    skips=14,
    m110_anywhere=False,
    m110_outer=True,
    queue_size=2,
    line_end=b"\r\n",
    ok_on_receipt=True,
    ok_number=True,
    errors=MappingProxyType(
        {
            LineVerdict.WRONG_NUMBER: b"Error:expected line %(next)d got %(number)d",
            LineVerdict.WRONG_CHECKSUM: b"Error:Wrong checksum",
            LineVerdict.NO_CHECKSUM: b"Error:Missing checksum",
        }
    ),
    resend=b"\nResend:%(next)d",
    nag=0.2,
    idle_wait=WAIT_S,
    temperatures="T:{t:.2f} /{tt:.0f} B:{b:.2f} /{bt:.0f} B@:{bp} @:{tp}",
    temperatures_on_ok=False,
    countdown=False,
    place="X:{x:.2f} Y:{y:.2f} Z:{z:.3f} E:{e:.4f}",
    unknown=b"Unknown command:%(line)s",
    cold=b"",
    auto_report=False,
    busy=False,
    actions=False,
    prompts=False,
    runout=b"// action:out_of_filament T0\nRequestPause:Extruder Jam Detected!",
    stop_button=b"RequestStop:\n// action:cancel\nUSB print stopped.",
    lacks=frozenset({"M108", "M118", "M410", "M600", "M876", "M900"}),
    probing=MappingProxyType({"G32": b"Z-probe:%(at).2f X:%(at).2f Y:%(at).2f"}),
    early=(b"M112",),
    early_numbered=True,
    emergency_restarts=True,
    heaters=MappingProxyType(dict.fromkeys(_MARLIN_HEATERS, b"Heater/sensor error")),
    heater_error=b"Error:One heater seems decoupled from thermistor - disabling all for safety!",
    stopped=(b"fatal:%(reason)s Printer stopped and heaters disabled due to this error.",),
    refusal=b"fatal:%(reason)s Printer stopped and heaters disabled due to this error.",
    refusal_ok=True,
    restart=(b"M999",),
)
"""With FEATURE_CHECKSUM_FORCED and ACK_WITH_LINENUMBER."""

REPRAP = replace(
    MARLIN,
    name="reprap",
    identity=(
        "FIRMWARE_NAME: RepRapFirmware for Duet 2 WiFi/Ethernet FIRMWARE_VERSION: 3.4.6 "
        "ELECTRONICS: Duet WiFi 1.02 or later FIRMWARE_DATE: 2023-07-21 14:10:12"
    ),
    banner="RepRapFirmware for Duet 2 WiFi/Ethernet Version 3.4.6 dated 2023-07-21 14:10:12\n",
    capabilities=False,
    stale=0,
    checksums=ChecksumRule.NONE,
    checksum_first=True,
    m110_anywhere=False,
    m110_outer=True,
    line_size=256,
    rx_buffer=256,
    errors=MappingProxyType({}),
    temperatures="T:{t:.1f} /{tt:.1f} B:{b:.1f} /{bt:.1f}",
    countdown=False,
    place="X:{x:.3f} Y:{y:.3f} Z:{z:.3f} E:{e:.3f} E0:{e:.1f} Count {cx} {cy} {cz} Machine {x:.3f} {y:.3f} {z:.3f}",
    unknown=b"Warning: Command is not supported: %(code)s",
    place_when_home=False,
    cold=b"",
    auto_report=False,
    busy=False,
    actions=False,
    prompts=False,
    probing=MappingProxyType({"G29": b""}),
    asks_to_purge=False,
    tool_targets=True,
    boxes=True,
    stop_button=b"",
    lacks=frozenset({"M410", "M876", "M900"}),
    early=(b"M112",),
    early_numbered=True,
    heaters=MappingProxyType(
        {
            "heating-failed": b"temperature rising much more slowly than the expected 2.3",
            "thermal-runaway": b"temperature excursion exceeded 15.0",
            "mintemp": b"sensor reading invalid",
        }
    ),
    heater_error=b"Error: Heating fault on heater 1, %(reason)s",
    stopped=(b"Emergency Stop! Reset the controller to continue.",),
    refusal=b"",
    restart=(b"M999",),
)

REPRAP3 = replace(REPRAP, name="reprap3", numbers=False, resend=None)
"""Its newer releases look at no line number, and drop a line with a wrong checksum without a word."""

_SUSPEND = (
    b"Suspending print, waiting for queue to empty...\n// action:pause\n"
    b"// Waiting for queue to empty (Host must stop sending)...\n// Saving current state...\n"
    b"// Print Suspended, enter resume to continue printing"
)
_RESUME = b"resuming print...\nRestoring saved XYZ positions and state...\nResuming print\n// action:resume"

SMOOTHIE = replace(
    REPRAP,
    name="smoothie",
    identity=(
        "FIRMWARE_NAME:Smoothieware, FIRMWARE_URL:http%3A//smoothieware.org, "
        "X-SOURCE_CODE_URL:https://github.com/Smoothieware/Smoothieware, FIRMWARE_VERSION:edge-0565b13, "
        "PROTOCOL_VERSION:1.0, X-FIRMWARE_BUILD_DATE:Jun 19 2021 16:12:18, X-SYSTEM_CLOCK:100MHz, X-AXES:4, "
        "X-GRBL_MODE:0, X-ARCS:1"
    ),
    banner="Smoothie\nok\n",
    checksum_first=False,
    line_size=132,
    line_end=b"\r\n",
    resend=b"rs N%(next)d",
    temperatures="T:{t:.1f} /{tt:.1f} @{tp} B:{b:.1f} /{bt:.1f} @{bp}",
    place="C: X:{x:.4f} Y:{y:.4f} Z:{z:.4f} E:{e:.4f}",
    place_on_ok=True,
    unknown=b"",
    probing=MappingProxyType({"G32": b""}),
    boxes=False,
    words=MappingProxyType({b"M600": _SUSPEND, b"M601": _RESUME}),
    runout=b"// Filament Detector has detected a filament jam\n" + _SUSPEND,
    stop_button=b"",
    lacks=frozenset({"M108", "M410", "M600", "M876", "M900"}),
    stop_byte=b"\x18",
    heaters=MappingProxyType(
        {
            "heating-failed": b"Temperature took too long to be reached on T, HALT asserted, TURN POWER OFF",
            "thermal-runaway": b"Temperature runaway on T, HALT asserted, TURN POWER OFF",
            "mintemp": b"MINTEMP triggered on T. Check your temperature sensors!",
        }
    ),
    heater_error=b"ERROR: %(reason)s",
    stopped=(b"HALTED, M999 or $X to exit HALT state",),
    refusal=b"!!",
)

_CHANGE = (
    b"// action:paused\n// action:prompt_begin Filament change\n// action:prompt_text Load the new filament\n"
    b"// action:prompt_button_group_start\n// action:prompt_button Load|LOAD_FILAMENT SPEED=300|primary\n"
    b"// action:prompt_button Heat|SET_HEATER_TEMPERATURE HEATER=extruder TARGET=400\n"
    b"// action:prompt_button_group_end\n// action:prompt_footer_button Resume|RESUME|primary\n"
    b"// action:prompt_footer_button Cancel|CANCEL_PRINT|error\n// action:prompt_show"
)
_LOADED = (
    b"// action:prompt_end\n// action:prompt_begin Loaded\n// action:prompt_button Resume|RESUME|primary\n"
    b"// action:prompt_show"
)

KLIPPER = replace(
    REPRAP3,
    name="klipper",
    identity="FIRMWARE_NAME:Klipper FIRMWARE_VERSION:v0.12.0-85-gd785b396",
    identity_on_ok=True,
    banner="// Klipper state: Ready\n",
    checksums=ChecksumRule.IGNORED,
    blank_ok=True,
    any_case=True,
    line_size=4096,
    rx_buffer=4096,
    temperatures="B:{b:.1f} /{bt:.1f} T0:{t:.1f} /{tt:.1f}",
    place="X:{x:.3f} Y:{y:.3f} Z:{z:.3f} E:{e:.3f}",
    unknown=b'// Unknown command:"%(code)s"',
    words=MappingProxyType(
        {
            b"STATUS": b"// Klipper state: Ready",
            b"M600": _CHANGE,
            b"LOAD_FILAMENT": _LOADED,
            b"RESUME": b"// action:prompt_end\n// action:resumed",
            b"CANCEL_PRINT": b"// action:prompt_end\n// action:cancel",
        }
    ),
    probing=MappingProxyType({"BED_MESH_CALIBRATE": b"// probe at %(at).3f,%(at).3f is z=0.012500"}),
    boxes=False,
    runout=b"// Filament runout detected\n" + _CHANGE,
    stop_button=b"// action:cancel",
    cold=b"// Extrude below minimum temp\n// See the 'min_extrude_temp' config option for details\n"
    b"!! Extrude below minimum temp",
    unhomed=b"!! Must home axis first: %(x).3f %(y).3f %(z).3f [%(e).3f]",
    starting=b"// Printer is not ready\n// The klippy host software is attempting to connect.  Please\n"
    b"// retry in a few moments.\n!! Printer is not ready",
    config_error=b"// Option 'pin' in section 'fan' must be specified\n"
    b'// Once the underlying issue is corrected, use the "RESTART"\n'
    b"// command to reload the config and restart the host software.\n// Printer is halted\n"
    b"!! Option 'pin' in section 'fan' must be specified",
    identity_starting=b"FIRMWARE_NAME:Klipper FIRMWARE_VERSION:?",
    temperatures_refusing=b"T:0",
    leaving=b"// Klipper state: Disconnect",
    restart_ok=True,
    lacks=frozenset(
        f"M{code}"
        for code in (0, 1, 17, 73, 75, 76, 77, 85, 92, 108, 200, 201, 203, 205, 211, 301, 302, 410, 500, 501, 502, 503)
    )
    | {"M600", "M876", "M900"},
    parser=True,
    heaters=MappingProxyType(
        {
            "heating-failed": b"Heater extruder not heating at expected rate",
            "thermal-runaway": b"Heater extruder not heating at expected rate",
            "mintemp": b"MCU 'mcu' shutdown: ADC out of range",
            "lost-mcu": b"Lost communication with MCU 'mcu'",
        }
    ),
    heater_error=b"",
    stopped=(b"// Klipper state: Shutdown",),
    emergency_reason=b"Shutdown due to M112 command",
    refusal=b"// %(reason)s\n// Once the underlying issue is corrected, use the\n"
    b'// "FIRMWARE_RESTART" command to reset the firmware, reload the\n'
    b"// config, and restart the host software.\n// Printer is shutdown\n!! %(reason)s",
    refusal_ok=True,
    still=frozenset({"M105", "M110", "M112", "M115"}),
    all_off=b"TURN_OFF_HEATERS",
    restart=(b"FIRMWARE_RESTART", b"RESTART"),
    opening_resets=False,
)

_ALL = (MARLIN, MARLIN1, MARLIN1_0, PRUSA, REPETIER, REPRAP, REPRAP3, SMOOTHIE, KLIPPER)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({"marlin2": MARLIN} | {dialect.name: dialect for dialect in _ALL})
"""By the names that people may give them."""
