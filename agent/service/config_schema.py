"""The tables of the configuration file and their keys, as frozen structs. `config.example.toml` explains every key."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
Scripted = tuple[str, ...]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Cloud(_Section, frozen=True):
    server: str = ""
    api_base: str = "/v1"
    faye_path: str = "/faye"
    faye_transport: Literal["long-polling", "websocket"] = "long-polling"
    faye_ext: Literal["subscribe", "all"] = "subscribe"
    ca_file: str = ""
    allow_http: bool = False
    # Together they are the limit of a whole call; short enough for a hung one to be noticed within half a minute.
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=20)] = 6.0
    read_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=30)] = 12.0


class Member(_Section, frozen=True):
    server: str = ""
    api_base: str = ""
    token_file: str = ""


class Printer(_Section, frozen=True):
    driver: str = "gcode"
    type_id: str = "7FAF097F-DB2E-45DC-9395-A30210E789AA"
    name: str = ""
    serial_number: str = ""
    firmware: str = "auto"
    build_volume: tuple[Positive, ...] = ()  # mm: x, y, z


class Serial(_Section, frozen=True):
    port: str = "auto"
    baud: Literal["auto"] | Annotated[int, msgspec.Meta(gt=0)] = "auto"
    dialect: str = "auto"
    window: Literal["auto"] | Annotated[int, msgspec.Meta(ge=1, le=64)] = "auto"


class MaxTemperature(_Section, frozen=True):
    tool: Positive = 300.0
    bed: Positive = 120.0
    chamber: Positive = 80.0


class Job(_Section, frozen=True):
    max_file_mb: Annotated[int, msgspec.Meta(gt=0)] = 2048
    max_temperature: MaxTemperature = MaxTemperature()
    max_age_s: Positive = 86400.0
    deadman_s: Annotated[int, msgspec.Meta(ge=0)] = 3600
    stop_hands_over: bool = False


class Scripts(_Section, frozen=True):
    pause: Scripted = ()
    resume: Scripted = ()
    cancel: Scripted = ()
    home: Scripted = ("G28",)
    park: Scripted = ("G91", "G1 Z10 F600", "G90", "G28 X Y")
    calibrate: Scripted = ("G28", "G29")


class Reports(_Section, frozen=True):
    heartbeat_s: Annotated[float, msgspec.Meta(gt=0, le=59)] = 15.0
    progress_s: Positive = 2.0


class State(_Section, frozen=True):
    dir: str = "auto"


class Local(_Section, frozen=True):
    socket: str = "auto"
    status_page: str = ""


class FirmwareUpgrade(_Section, frozen=True):
    command: tuple[str, ...] = ()
    public_key: str = ""
    timeout_s: Positive = 600.0


class Logs(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Simulated(_Section, frozen=True):
    speed: Positive = 1.0
    dialect: str = "marlin"
    faults: tuple[str, ...] = ()


class Config(_Section, frozen=True):
    """The whole file; each field is a table of it."""

    cloud: Cloud = Cloud()
    member: Member = Member()
    printer: Printer = Printer()
    serial: Serial = Serial()
    job: Job = Job()
    scripts: Scripts = Scripts()
    reports: Reports = Reports()
    state: State = State()
    local: Local = Local()
    firmware_upgrade: FirmwareUpgrade = FirmwareUpgrade()
    logs: Logs = Logs()
    simulated: Simulated = Simulated()
