"""Drivers by name. A name stands for `module:Class`; nothing of a driver is imported before it is asked for.

A driver from another distribution joins by an entry point in the group `printer_agent.drivers`:

    [project.entry-points."printer_agent.drivers"]
    myprinter = "my_package.driver:MyDriver"

A driver is made with `Class(settings, clock=…)` (`drivers.settings.DriverSettings`, `agent.core.clock.Clock`) and
fulfils `agent.core.driver.Driver`. `tests/contract/driver_contract.py` says what that means.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, cast

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
    """What `load` gives: usually the driver's class."""

    def __call__(self, settings: DriverSettings, *, clock: Clock) -> Driver:
        """A driver that is not opened yet."""


def names() -> dict[str, str]:
    """Every known driver, name → `module:Class`; a built-in name cannot be taken by a plug-in."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)} | BUILT_IN


def load(name: str) -> DriverFactory:
    """The driver called `name`. Raises ConfigError for an unknown name, or one whose module cannot be imported."""
    known = names()
    if name not in known:
        raise ConfigError(f"printer.driver: no driver is called {name!r}; known are {', '.join(sorted(known))}")
    module, _, attribute = known[name].partition(":")
    try:
        return cast("DriverFactory", getattr(import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"printer.driver: {name!r} ({known[name]}) cannot be imported: {error}") from error
