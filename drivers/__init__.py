"""The registry of drivers: name → `module:Class`. A driver's module is imported only when the driver is asked for.

A driver from another distribution (a plug-in) joins by an entry point in the group `printer_agent.drivers`:

    [project.entry-points."printer_agent.drivers"]
    myprinter = "my_package.driver:MyDriver"

A driver is constructed as `Class(settings, clock=…)` (`drivers.settings.DriverSettings`, `agent.core.clock.Clock`) and
fulfils `agent.core.driver.Driver`. One that takes keys from the configuration's `[driver]` table names their struct as
its class attribute `Settings` and is constructed as `Class(settings, clock=…, own=…)`, with the table as that struct.
`docs/drivers.md` shows how to write one, `agent.testing` has the contract as tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args, get_origin, get_type_hints

import msgspec

from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.core.clock import Clock
    from agent.core.driver import Driver
    from drivers.settings import DriverSettings

GROUP = "printer_agent.drivers"
BUILT_IN = {
    "gcode": "drivers.gcode.driver:GcodeDriver",
    "simulated": "drivers.simulated.driver:SimulatedDriver",
}


class DriverFactory(Protocol):
    """Constructor of a driver, usually its class."""

    def __call__(self, settings: DriverSettings, *, clock: Clock) -> Driver:
        """Construct a driver that is not opened yet. Raises ConfigError for settings that it cannot use."""


class ConfigurableDriverFactory(Protocol):
    """Constructor of a driver with settings of its own, those of the configuration's `[driver]` table."""

    @property
    def Settings(self) -> type[msgspec.Struct]:  # noqa: N802 - it is a class
        """The struct of the table: its fields are the keys, their types and defaults."""

    def __call__(self, settings: DriverSettings, *, clock: Clock, own: Any) -> Driver:
        """Construct a driver that is not opened yet; `own` is a `Settings`. Raises ConfigError as above."""


def names() -> dict[str, str]:
    """Every known driver, name → `module:Class`; a built-in name cannot be taken by a plug-in."""
    from importlib.metadata import entry_points  # noqa: PLC0415 late: it reads the metadata of all that is installed

    return {entry.name: entry.value for entry in entry_points(group=GROUP)} | BUILT_IN


def load(name: str) -> DriverFactory:
    """Import the driver called `name`. Raises ConfigError for an unknown name, or a module that cannot be imported."""
    known = BUILT_IN if name in BUILT_IN else names()
    if name not in known:
        raise ConfigError(f"printer.driver: no driver is called {name!r}; known are {', '.join(sorted(known))}")
    module, _, attribute = known[name].partition(":")
    try:
        return cast("DriverFactory", getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"printer.driver: {name!r} ({known[name]}) cannot be imported: {error}") from error


def create(name: str, settings: DriverSettings, *, clock: Clock) -> Driver:
    """Construct the driver called `name`, with `settings.own` as its own struct where it has one.

    Raises ConfigError as `load` and `own_settings` do, and what the driver's constructor raises."""
    factory = load(name)
    own = own_settings(factory, settings.own)
    if own is None:
        return factory(settings, clock=clock)
    return cast("ConfigurableDriverFactory", factory)(settings, clock=clock, own=own)


def own_settings(
    factory: DriverFactory | ConfigurableDriverFactory, table: Mapping[str, object]
) -> msgspec.Struct | None:
    """Convert the configuration's `[driver]` table to the driver's own struct; None for a driver without one.

    Strict: an unknown key, a missing one and a wrong type raise ConfigError naming `driver.<key>` and what is expected,
    as does any key for a driver without settings of its own."""
    struct: type[msgspec.Struct] | None = getattr(factory, "Settings", None)
    if struct is None:
        if table:
            raise ConfigError(f"driver.{min(table)}: unknown key; expected no [driver] table: this driver takes none")
        return None
    known = [field.encode_name for field in msgspec.structs.fields(struct)]
    for key in table:
        if key not in known:
            raise ConfigError(f"driver.{key}: unknown key; expected {', '.join(known) or 'none'}")
    try:
        return msgspec.convert(dict(table), struct)
    except msgspec.ValidationError as error:
        raise ConfigError(_describe(error, struct)) from None


def _describe(error: msgspec.ValidationError, struct: type[msgspec.Struct]) -> str:
    """Word msgspec's error for a person: `driver.<key>: expected …`."""
    what, _, place = str(error).partition(" - at `$")
    keys = [key for key in place.strip("`").split(".") if key]
    what = what.replace("object", "table").replace("array", "list")
    for words, text in (("missing required field `", "missing; expected a value"), ("unknown field `", "unknown key")):
        if (start := what.lower().find(words)) >= 0:
            keys.append(what[start + len(words) :].rstrip("`"))
            what = text
    if what.startswith("Invalid enum value") and len(keys) == 1:
        what += f"; expected {_choices(get_type_hints(struct).get(keys[0]))}"
    return f"{'.'.join(['driver', *keys])}: {what[0].lower()}{what[1:]}".replace("`", "")


def _choices(kind: object) -> str:
    """The values that a Literal or an Enum allows."""
    if get_origin(kind) is Literal:
        return " or ".join(str(value) for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    return str(kind)
