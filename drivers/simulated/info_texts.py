"""Answers of the simulated firmware about itself: M115."""

from __future__ import annotations

from drivers.simulated.dialect import Dialect
from drivers.simulated.options import Options

_NAME, _SOURCE = "FIRMWARE_NAME:", " SOURCE_CODE_URL:"


def firmware_name(dialect: Dialect) -> str:
    """The FIRMWARE_NAME of a dialect that says where its source code is, as Marlin does; else empty."""
    name, mark, _rest = dialect.identity.partition(_SOURCE)
    return name.removeprefix(_NAME) if mark else ""


def identity(dialect: Dialect, options: Options) -> bytes:
    """The answer to M115 without its `ok` and the last end of line (docs/serial.md §19)."""
    text = dialect.identity
    if options.firmware_name:
        text = text.replace(_NAME + firmware_name(dialect), _NAME + options.firmware_name)
    lines = [text.format(machine=options.machine, uuid=options.uuid)]
    if dialect.capabilities:
        capabilities = {
            "SERIAL_XON_XOFF": False,
            "BINARY_FILE_TRANSFER": False,
            "EEPROM": False,
            "VOLUMETRIC": True,
            "AUTOREPORT_POS": False,
            "AUTOREPORT_TEMP": dialect.auto_report,
            "PROGRESS": False,
            "PRINT_JOB": True,
            "AUTOLEVEL": False,
            "ZPROBE": False,
            "LEVELING_DATA": False,
            "BUILD_PERCENT": True,
            "SOFTWARE_POWER": False,
            "EMERGENCY_PARSER": dialect.parser,
            "HOST_ACTION_COMMANDS": dialect.actions,
            "PROMPT_SUPPORT": dialect.prompts,
            "SDCARD": False,
            "ARCS": True,
            "BABYSTEPPING": False,
            "CHAMBER_TEMPERATURE": False,
        }
        lines += [f"Cap:{name}:{int(on)}" for name, on in capabilities.items()]
    return "\n".join(lines).encode()
