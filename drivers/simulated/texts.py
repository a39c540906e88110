"""What the firmware says of itself: the boot messages, M115 and M503, worded as Marlin 2.1.2 words them."""

from __future__ import annotations

from drivers.simulated.options import DIALECTS, Options


def banner(options: Options) -> bytes:
    """The lines after power-on or a reset (SERIAL.md §18, 20)."""
    return (
        f"start\n{DIALECTS[options.dialect]}\n"
        "echo: Last Updated: 2022-12-01 | Author: (none, default config)\n"
        "echo: Compiled: Dec  1 2022\n"
        "echo: Free Memory: 3793  PlannerBufferBytes: 1200\n"
        "echo:Hardcoded Default Settings Loaded\n"
    ).encode()


def identity(options: Options) -> bytes:
    """The answer to M115 without its `ok` (SERIAL.md §19)."""
    capabilities = {
        "SERIAL_XON_XOFF": False,
        "BINARY_FILE_TRANSFER": False,
        "EEPROM": False,
        "VOLUMETRIC": True,
        "AUTOREPORT_POS": False,
        "AUTOREPORT_TEMP": options.auto_report,
        "PROGRESS": False,
        "PRINT_JOB": True,
        "AUTOLEVEL": False,
        "ZPROBE": False,
        "LEVELING_DATA": False,
        "BUILD_PERCENT": True,
        "SOFTWARE_POWER": False,
        "EMERGENCY_PARSER": options.emergency_parser,
        "HOST_ACTION_COMMANDS": True,
        "PROMPT_SUPPORT": True,
        "SDCARD": False,
        "ARCS": True,
        "BABYSTEPPING": False,
        "CHAMBER_TEMPERATURE": False,
        "BUSY_PROTOCOL": options.busy_protocol,
    }
    first = (
        f"FIRMWARE_NAME:{DIALECTS[options.dialect]} (Dec  1 2022 00:00:00) "
        "SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin PROTOCOL_VERSION:1.0 "
        f"MACHINE_TYPE:{options.machine} EXTRUDER_COUNT:1 UUID:{options.uuid}\n"
    )
    return (first + "".join(f"Cap:{name}:{int(on)}\n" for name, on in capabilities.items())).encode()


def settings() -> bytes:
    """The answer to M503 without its `ok`, in short."""
    return (
        b"echo:; Linear Units:\necho:  G21 ; (mm)\n"
        b"echo:; Steps per unit:\necho: M92 X80.00 Y80.00 Z400.00 E500.00\n"
        b"echo:; Max feedrates (units/s):\necho:  M203 X300.00 Y300.00 Z5.00 E50.00\n"
    )
