"""What of a changed configuration a running agent can take: the log level and the scripts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from agent.core.driver import Driver, Scripts, SupportsScriptReload
from agent.errors import AgentError
from agent.service.config import Config
from agent.service.logs import set_level

log = structlog.get_logger(part="agent")


def changed(old: Config, new: Config) -> list[str]:
    """The keys that differ, as `section.key`, in the order of the file."""
    return [
        f"{section}.{key}"
        for section in old.__struct_fields__
        for key in getattr(old, section).__struct_fields__
        if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
    ]


def is_live(key: str) -> bool:
    """Whether a running agent can take another value of it."""
    return key == "logs.level" or key.startswith("scripts.")


def merged(old: Config, new: Config) -> Config:
    """`old` with what of `new` can be taken."""
    logs = msgspec.structs.replace(old.logs, level=new.logs.level)
    return msgspec.structs.replace(old, logs=logs, scripts=new.scripts)


def driver_scripts(config: Config) -> Scripts:
    """Those that the driver needs in the course of a print."""
    return Scripts(pause=config.scripts.pause, resume=config.scripts.resume, cancel=config.scripts.cancel)


class Reload:
    """Takes over what can be. `reread` gives the configuration as it is in the file now, checked as a whole, or raises
    AgentError; `configure` is given to the runner."""

    def __init__(
        self, config: Config, reread: Callable[[], Config], driver: Driver, configure: Callable[[Config], None]
    ) -> None:
        self._config = config
        self._reread = reread
        self._driver = driver
        self._configure = configure

    def run(self) -> None:
        """All of the file is checked before anything changes. Says in the log what came of it."""
        try:
            new = self._reread()
            keys = changed(self._config, new)
            if isinstance(self._driver, SupportsScriptReload):
                self._driver.use_scripts(driver_scripts(new))
        except AgentError as error:
            log.error("the configuration cannot be used; the old one stays", reason=str(error))
            return
        self._config = merged(self._config, new)
        self._configure(self._config)
        log.info("configuration read", changed=", ".join(filter(is_live, keys)) or "nothing")
        set_level(new.logs.level)
        if rest := [key for key in keys if not is_live(key)]:
            log.warning("changed keys need a restart", keys=", ".join(rest))
