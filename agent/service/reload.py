"""Reload of the configuration by a running agent: the log level and the scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from agent.core.driver import Driver, Scripts, SupportsScriptReload
from agent.errors import AgentError
from agent.service.config import Config
from agent.service.logs import set_level

log = structlog.get_logger(part="agent")


def changed_keys(old: Config, new: Config) -> list[str]:
    """The keys that differ, as `section.key`, in the order of the file."""
    differing = []
    for section in old.__struct_fields__:
        before, after = _values(getattr(old, section)), _values(getattr(new, section))
        differing += [f"{section}.{key}" for key in before | after if before.get(key) != after.get(key)]
    return differing


def _values(section: Any) -> dict[str, object]:
    return section if isinstance(section, dict) else msgspec.structs.asdict(section)


def is_reloadable(key: str) -> bool:
    """Whether a running agent can change the key's value."""
    return key == "logs.level" or key.startswith("scripts.")


def merge_reloadable(old: Config, new: Config) -> Config:
    """`old` with the reloadable values of `new`."""
    logs = msgspec.structs.replace(old.logs, level=new.logs.level)
    return msgspec.structs.replace(old, logs=logs, scripts=new.scripts)


def driver_scripts(config: Config) -> Scripts:
    """The scripts that the driver runs in the course of a print."""
    return Scripts(pause=config.scripts.pause, resume=config.scripts.resume, cancel=config.scripts.cancel)


class Reload:
    """Applies the reloadable keys of a changed configuration.

    `reread` returns the configuration as it is in the file now, checked as a whole, or raises AgentError; `configure`
    is called with the new configuration for the runner.
    """

    def __init__(
        self, config: Config, reread: Callable[[], Config], driver: Driver, configure: Callable[[Config], None]
    ) -> None:
        self._config = config
        self._reread = reread
        self._driver = driver
        self._configure = configure

    def run(self) -> None:
        """Check the whole file, then apply what can be applied, and log the outcome."""
        try:
            new = self._reread()
            keys = changed_keys(self._config, new)
            if isinstance(self._driver, SupportsScriptReload):
                self._driver.use_scripts(driver_scripts(new))
        except AgentError as error:
            log.error("configuration not reloaded", error=str(error))
            return
        self._config = merge_reloadable(self._config, new)
        self._configure(self._config)
        log.info("configuration reloaded", changed=", ".join(filter(is_reloadable, keys)) or "nothing")
        set_level(new.logs.level)
        if rest := [key for key in keys if not is_reloadable(key)]:
            log.warning("configuration restart needed", keys=", ".join(rest))
