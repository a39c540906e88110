"""What of a changed configuration a running agent takes."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
import structlog

from agent.core.driver import Scripts
from agent.errors import ConfigError
from agent.service.config import Config, JobSection, LogsSection, ScriptsSection
from agent.service.reload import Reload, changed_keys, is_reloadable, merge_reloadable
from agent.testing import FakeClock
from drivers.gcode.driver import GcodeDriver
from drivers.settings import DriverSettings

OLD = Config()
NEW = Config(
    job=JobSection(max_file_mb=7),
    logs=LogsSection(level="debug", format="json"),
    scripts=ScriptsSection(pause=("M117 x",), home=("G28 X",)),
)


def test_what_differs_is_named_as_in_the_file() -> None:
    assert changed_keys(OLD, NEW) == ["job.max_file_mb", "scripts.pause", "scripts.home", "logs.level", "logs.format"]
    assert changed_keys(NEW, NEW) == []


def test_scripts_and_level_are_taken_and_nothing_else() -> None:
    taken = merge_reloadable(OLD, NEW)
    assert (taken.scripts, taken.logs.level) == (NEW.scripts, "debug")
    assert [key for key in changed_keys(OLD, NEW) if is_reloadable(key)] == changed_keys(OLD, taken)
    assert changed_keys(taken, NEW) == ["job.max_file_mb", "logs.format"]


def test_every_key_of_the_file_is_looked_at() -> None:
    """A section that is added later is compared too."""
    assert changed_keys(OLD, Config(driver={"host": "h"})) == ["driver.host"]
    for section in set(OLD.__struct_fields__) - {"driver"}:
        for key in getattr(OLD, section).__struct_fields__:
            other = msgspec.structs.replace(getattr(OLD, section), **{key: object()})
            assert changed_keys(OLD, msgspec.structs.replace(OLD, **{section: other})) == [f"{section}.{key}"]


@pytest.fixture
def driver() -> Iterator[GcodeDriver]:
    yield GcodeDriver(DriverSettings(scripts=Scripts(pause=("M117 old",))), clock=FakeClock())
    structlog.reset_defaults()


def test_runner_and_driver_get_what_is_new_once(driver: GcodeDriver) -> None:
    taken: list[Config] = []
    reload = Reload(OLD, lambda: NEW, driver, taken.append)
    reload.run()
    reload.run()
    assert [config.scripts for config in taken] == [NEW.scripts] * 2
    assert driver._slot.scripts == Scripts(pause=("M117 x",))


def test_a_file_that_cannot_be_used_changes_nothing(driver: GcodeDriver) -> None:
    def bad() -> Config:
        raise ConfigError("agent.toml: [jobs]: unknown section")

    taken: list[Config] = []
    Reload(OLD, bad, driver, taken.append).run()
    unsendable = Config(scripts=ScriptsSection(pause=("M117 a\nM117 b",)))
    Reload(OLD, lambda: unsendable, driver, taken.append).run()
    assert taken == []
    assert driver._slot.scripts is None
