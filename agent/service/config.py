"""Loader of the configuration: TOML file, environment and command line to frozen structs.

Precedence: command line > PRINTER_AGENT_* > file > default. Unknown keys and wrong types are errors; each error names
the file, the key and what was expected. `PRINTER_AGENT_CLOUD_SERVER` is `server` in `[cloud]`; lists and tables are
written as in TOML. The keys of `[driver]` belong to a plug-in driver, which checks them (`drivers.own_settings`).
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from agent.errors import ConfigError
from agent.service.config_schema import (
    CloudSection,
    Config,
    FirmwareUpgradeSection,
    JobSection,
    LocalSection,
    LogsSection,
    MaxTemperature,
    MemberSection,
    PrinterSection,
    ReportsSection,
    ScriptsSection,
    SerialSection,
    SimulatedSection,
    StateSection,
)

__all__ = [
    "CloudSection",
    "Config",
    "FirmwareUpgradeSection",
    "JobSection",
    "LocalSection",
    "LogsSection",
    "MaxTemperature",
    "MemberSection",
    "PrinterSection",
    "ReportsSection",
    "ScriptsSection",
    "SerialSection",
    "SimulatedSection",
    "StateSection",
    "check_url",
    "is_loopback",
    "load",
    "need_server",
]

NAME_TEXT = 100  # characters of a name that an error quotes
ERROR_TEXT = 1000  # characters of an error
ENV_PREFIX = "PRINTER_AGENT_"
# A secret, read where it is needed; and what an install command gets, which may call printer-agent.
NOT_KEYS = frozenset({"MEMBER_TOKEN", "PACKAGE", "MODEL", "VERSION", "INSTALLED"})
OWN_KEYS = "driver"  # the section whose keys are not known here


def load(path: Path | None, environ: Mapping[str, str], overrides: Sequence[str] = ()) -> Config:
    """Load and check the configuration.

    `overrides` are `section.key=value` from the command line. Raises ConfigError.
    """
    tree = _read(path) if path is not None else {}
    where = str(path) if path is not None else "configuration"
    for variable, section, key, text in _environment(environ):
        _override(tree, section, key, text, variable)
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise ConfigError(f"--set {override}: expected SECTION.KEY=VALUE")
        _override(tree, section, key, text, f"--set {name}")
    try:
        config = _convert(tree, where)
        _check(config, where)
    except ConfigError as error:
        raise ConfigError(_clipped(str(error), ERROR_TEXT)) from None
    return config


def need_server(config: Config) -> str:
    """`[cloud] server`, without a trailing slash. Raises ConfigError when it is not set."""
    if not config.cloud.server:
        raise ConfigError("[cloud] server: not set; expected scheme://host[:port], e.g. https://print.example.com")
    return config.cloud.server.rstrip("/")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:  # ValueError also for a number of 5,000 digits
        raise ConfigError(f"{path}: not TOML: {error}") from None


def _environment(environ: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    overrides = []
    for variable in sorted(environ):
        name = variable.removeprefix(ENV_PREFIX)
        if name == variable or name in NOT_KEYS:
            continue
        section = next((s for s in Config.__struct_fields__ if name.startswith(s.upper() + "_")), "")
        if not section:
            raise ConfigError(f"{variable}: no such key; expected {ENV_PREFIX}SECTION_KEY")
        overrides.append((variable, section, name[len(section) + 1 :].lower(), environ[variable]))
    return overrides


def _override(tree: dict[str, Any], section: str, key: str, text: str, source: str) -> None:
    """Set one value of the tree. The text is parsed as TOML where the key is not a string."""
    kind = Any if section == OWN_KEYS else _key_types(section).get(key)
    if kind is None:
        raise ConfigError(f"{source}: no such key; {_known(section)}")
    value: Any = text
    if kind is not str:
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except (ValueError, RecursionError):
            value = text  # a word such as auto or websocket
    tree.setdefault(section, {})
    if not isinstance(tree[section], dict):
        raise ConfigError(f"[{section}]: expected a table")
    tree[section][key] = value


def _key_types(section: str) -> dict[str, Any]:
    """The keys of a section with their types; none for one that does not exist or whose keys are not known here."""
    struct = next((field.type for field in msgspec.structs.fields(Config) if field.name == section), None)
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
        return {}
    return {field.name: field.type for field in msgspec.structs.fields(struct)}


def _known(section: str) -> str:
    if keys := _key_types(section):
        return f"[{section}] has {', '.join(keys)}"
    return f"the sections are {', '.join(Config.__struct_fields__)}"


def _convert(tree: dict[str, Any], where: str) -> Config:
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
    section, _, key = place.strip("`.").partition(".")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown and not section:
        raise ConfigError(f"{where}: [{_clipped(unknown[1])}]: unknown section; {_known('')}")
    if unknown:
        dotted = ".".join(part for part in (key, unknown[1]) if part)
        raise ConfigError(f"{where}: [{_clipped(section)}] {_clipped(dotted)}: unknown key; {_known(section)}")
    name = f"[{_clipped(section)}] {_clipped(key)}".strip()
    raise ConfigError(f"{where}: {name}: {_describe(what)}{_choices(section, key)}")


def _clipped(text: str, most: int = NAME_TEXT) -> str:
    """The text, cut where it is longer than a name or a reason can be."""
    return text if len(text) <= most else text[:most] + "…"


def _describe(what: str) -> str:
    text = what.replace("`", "").replace("Expected", "expected", 1).replace("Invalid enum value", "got")
    return text.replace("object", "table").replace("array", "list")


def _choices(section: str, key: str) -> str:
    words = _type_choices(_key_types(section).get(key))
    return f"; expected {', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else ""


def _type_choices(kind: Any) -> list[str]:
    """The values that a type allows, for a person; empty for one without choices."""
    if get_origin(kind) is Literal:
        return [str(arg) for arg in get_args(kind)]
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return [word for arg in get_args(kind) for word in _type_choices(arg)]
    return ["a number"] if get_origin(kind) is Annotated else []


def _check(config: Config, where: str) -> None:
    """Check what types alone cannot express. Raises ConfigError."""
    cloud = config.cloud
    _check_cloud(cloud, where)
    if config.member.server:
        check_url(config.member.server, f"{where}: [member] server", allow_http=cloud.allow_http)
    paths = {"[cloud] api_base": cloud.api_base, "[cloud] faye_path": cloud.faye_path}
    for key, value in {**paths, "[member] api_base": config.member.api_base}.items():
        if value and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value.rstrip("/")) and value != "/":
            raise ConfigError(f"{where}: {key}: expected a path like /v1, got {value!r}")
    if len(config.printer.build_volume) not in (0, 3):
        raise ConfigError(f"{where}: [printer] build_volume: expected [x, y, z] in mm, or [] when it is not known")
    if config.firmware_upgrade.command and not config.firmware_upgrade.public_key:
        raise ConfigError(
            f"{where}: [firmware_upgrade] public_key: needed with command; an unsigned package is never run"
        )
    for name in ScriptsSection.__struct_fields__:
        lines = getattr(config.scripts, name)
        for number, line in enumerate(() if lines == "off" else lines, 1):
            code = line.split(";", 1)[0].strip()
            if code.startswith("?") and (not code[1:].strip() or code[1:].strip().startswith("?")):
                raise ConfigError(f"{where}: [scripts] {name}: line {number}: expected a command after ?, got {code!r}")
            if not line.isascii() or not line.isprintable() or len(line) > 80:
                raise ConfigError(f"{where}: [scripts] {name}: line {number}: expected one G-code line of ASCII, ≤ 80")


def _check_cloud(cloud: CloudSection, where: str) -> None:
    if cloud.server:
        check_url(cloud.server, f"{where}: [cloud] server", allow_http=cloud.allow_http)
    if cloud.ca_file and not Path(cloud.ca_file).is_file():
        raise ConfigError(f"{where}: [cloud] ca_file: no such file: {cloud.ca_file}")
    for network in cloud.allow_addresses:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise ConfigError(
                f"{where}: [cloud] allow_addresses: expected IP networks like 192.168.1.0/24, got {network!r}"
            ) from None


def check_url(url: str, what: str, *, allow_http: bool) -> None:
    """Check a server's URL: scheme://host[:port], https unless the host is a loopback one or `allow_http`.

    Raises ConfigError, which begins with `what`."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(f"{what}: not a usable URL") from None
    readable = url.isprintable() and not set(url) & set(' \\"<>^`{|}')
    if parts.scheme not in ("http", "https") or not parts.hostname or not readable:
        raise ConfigError(f"{what}: expected scheme://host[:port] with http or https")
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ConfigError(f"{what}: expected scheme://host[:port] alone; paths go into api_base and faye_path")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{what}: plain http would show the token to the network; use https, or set allow_http = true"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
