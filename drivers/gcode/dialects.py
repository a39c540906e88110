"""What kinds of firmware there are and what this one can do, from its answer to M115 (SERIAL.md §17, §19)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from agent.errors import ConfigError

_KEY = re.compile(r"([A-Z][A-Z0-9_]+):")


class Dialect(msgspec.Struct, frozen=True):
    """A family of firmwares. `marks` are what its FIRMWARE_NAME starts with; `None` for a switch means: believe the
    capability lines."""

    name: str
    marks: tuple[str, ...] = ()
    autoreport: bool | None = None  # M155
    keepalive: bool | None = None  # M113 and `busy:`
    emergency: bool | None = None  # M108, M112 read ahead of the queue


DIALECTS: Final = (
    Dialect("marlin", marks=("Marlin",)),
    Dialect("generic"),
)


class Firmware(msgspec.Struct, frozen=True):
    """What the printer said about itself."""

    name: str = ""
    machine: str = ""
    dialect: Dialect = DIALECTS[-1]
    capabilities: frozenset[str] = frozenset()

    def _can(self, capability: str, fixed: bool | None) -> bool:
        return capability in self.capabilities if fixed is None else fixed

    @property
    def autoreport(self) -> bool:
        """Whether it reports temperatures by itself after `M155`."""
        return self._can("AUTOREPORT_TEMP", self.dialect.autoreport)

    @property
    def keepalive(self) -> bool:
        """Whether it says `busy:` while it works."""
        return self._can("BUSY_PROTOCOL", self.dialect.keepalive)

    @property
    def emergency(self) -> bool:
        """Whether `M108` is heard at once, whatever is in the queue."""
        return self._can("EMERGENCY_PARSER", self.dialect.emergency)


def by_name(name: str) -> Dialect | None:
    """The dialect called `name`; None for `auto`. Raises ConfigError for one that does not exist."""
    if name == "auto":
        return None
    for dialect in DIALECTS:
        if dialect.name == name:
            return dialect
    known = ", ".join(dialect.name for dialect in DIALECTS)
    raise ConfigError(f"serial.dialect: {name!r} is not known; expected auto or one of {known}")


def identify(texts: list[str], capabilities: frozenset[str], wanted: Dialect | None) -> Firmware:
    """The firmware, from the lines of its answer to M115. `wanted` overrules what it says it is."""
    fields: dict[str, str] = {}
    for text in texts:
        parts = _KEY.split(text)
        for key, value in zip(parts[1::2], parts[2::2], strict=True):
            fields.setdefault(key, value.strip())
    name = fields.get("FIRMWARE_NAME", "")
    found = next((d for d in DIALECTS if name.startswith(d.marks) and d.marks), DIALECTS[-1])
    return Firmware(name, fields.get("MACHINE_TYPE", ""), wanted or found, capabilities)
