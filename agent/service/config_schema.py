"""Schema of the configuration file: its tables and their keys, as frozen structs. `config.example.toml` explains each
key."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent.service.watch_schema import WatchSection

Positive = Annotated[float, msgspec.Meta(gt=0)]
GcodeLines = tuple[str, ...]
CommandLines = Literal["off"] | GcodeLines


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file; a key that it does not have is an error."""


class CloudSection(_Section, frozen=True):
    """`[cloud]`: the server, its paths and the limits of a call in seconds."""

    server: str = ""
    api_base: str = "/v1"
    faye_path: str = "/faye"
    faye_transport: Literal["long-polling", "websocket"] = "long-polling"
    faye_ext: Literal["subscribe", "all"] = "subscribe"
    ca_file: str = ""
    allow_http: bool = False
    allow_addresses: tuple[str, ...] = ()  # IP networks
    # Together they are the limit of a whole call; short enough for a hung one to be noticed within half a minute.
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=20)] = 6.0
    read_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 12.0


class MemberSection(_Section, frozen=True):
    """`[member]`: the server and token file of `printer-agent printers`; empty: as `[cloud]`, or the environment."""

    server: str = ""
    api_base: str = ""
    token_file: str = ""


class PrinterSection(_Section, frozen=True):
    """`[printer]`: the driver's name and what the printer registers as."""

    driver: str = "gcode"
    type_id: str = "7FAF097F-DB2E-45DC-9395-A30210E789AA"
    name: str = ""
    serial_number: str = ""
    firmware: str = "auto"
    other_board: Literal["register", "keep"] = "register"
    build_volume: tuple[Positive, ...] = ()  # mm: x, y, z


class SerialSection(_Section, frozen=True):
    """`[serial]`: device, bits per second, firmware dialect and lines in flight."""

    port: str = "auto"
    baud: Literal["auto"] | Annotated[int, msgspec.Meta(gt=0)] = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | Annotated[int, msgspec.Meta(ge=1, le=64)] = "auto"


class MaxTemperature(_Section, frozen=True):
    """`[job] max_temperature`: the highest target a file may set, in °C."""

    tool: Positive = 300.0
    bed: Positive = 120.0
    chamber: Positive = 80.0


CommandGroup = Literal["eeprom", "sd", "firmware", "network", "baud", "power", "guards", "pins", "macros", "extended"]


class JobSection(_Section, frozen=True):
    """`[job]`: limits of a print: MiB, °C, seconds, groups of commands; what it does on a bed that is not confirmed
    clear; what SIGTERM does to one."""

    max_file_mb: Annotated[int, msgspec.Meta(gt=0)] = 2048
    keep_files_mb: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 256
    max_temperature: MaxTemperature = MaxTemperature()
    max_age_s: Positive = 86400.0
    start_within_s: Positive = 600.0
    bed: Literal["ask", "refuse", "free"] = "refuse"
    deadman_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    stop_hands_over: bool = False
    cool_after_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    allow: tuple[CommandGroup, ...] = ()


class ScriptsSection(_Section, frozen=True):
    """`[scripts]`: lists of G-code lines around a pause and for the commands of the same name; `()` for these is the
    dialect's own (agent/gcode/default_scripts.py), `off` refuses the command."""

    pause: GcodeLines = ()
    resume: GcodeLines = ()
    cancel: GcodeLines = ()
    home: CommandLines = ()
    park: CommandLines = ()
    calibrate: CommandLines = ()


class ReportsSection(_Section, frozen=True):
    """`[reports]`: seconds between two heartbeats and between two progress reports."""

    heartbeat_s: Annotated[float, msgspec.Meta(gt=0, le=59)] = 15.0
    progress_s: Positive = 2.0


class StateSection(_Section, frozen=True):
    """`[state]`: the folder that survives a restart."""

    dir: str = "auto"


class LocalSection(_Section, frozen=True):
    """`[local]`: the local socket's path, the status page's address and the names that it may be asked for under."""

    socket: str = "auto"
    status_page: str = ""
    page_hosts: tuple[str, ...] = ()


class FirmwareUpgradeSection(_Section, frozen=True):
    """`[firmware_upgrade]`: the installer, the key that its packages are signed with, the model and versions that are
    taken, the installer's time limit, and that of the printer's answer afterwards."""

    command: tuple[str, ...] = ()
    public_key: str = ""
    model: str = "auto"
    allow_downgrade: bool = False
    timeout_s: Positive = 600.0
    answer_within_s: Positive = 90.0


class LogsSection(_Section, frozen=True):
    """`[logs]`: level and format on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class SimulatedSection(_Section, frozen=True):
    """`[simulated]`: the virtual printer of `driver = "simulated"`."""

    speed: Positive = 1.0
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()


class Config(_Section, frozen=True):
    """The whole file; each field is a table of it.

    `driver` is the table of a plug-in driver as it stands in the file: the driver's own struct checks it
    (`drivers.own_settings`).
    """

    cloud: CloudSection = CloudSection()
    member: MemberSection = MemberSection()
    printer: PrinterSection = PrinterSection()
    serial: SerialSection = SerialSection()
    job: JobSection = JobSection()
    watch: WatchSection = WatchSection()
    scripts: ScriptsSection = ScriptsSection()
    reports: ReportsSection = ReportsSection()
    state: StateSection = StateSection()
    local: LocalSection = LocalSection()
    firmware_upgrade: FirmwareUpgradeSection = FirmwareUpgradeSection()
    logs: LogsSection = LogsSection()
    simulated: SimulatedSection = SimulatedSection()
    driver: dict[str, Any] = {}
