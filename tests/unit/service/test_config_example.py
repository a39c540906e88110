"""`config.example.toml` is the reference of the configuration: complete, and true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.service.config import Config, load

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"
SERVER = "https://print.example.com"
# The order in which a reader meets the sections.
SECTIONS = [
    "cloud",
    "member",
    "printer",
    "serial",
    "job",
    "watch",
    "scripts",
    "reports",
    "state",
    "local",
    "firmware_upgrade",
    "logs",
    "simulated",
    "driver",
]


def keys(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that the configuration knows, dotted, with its default."""
    for field in msgspec.structs.fields(struct):
        name = f"{prefix}{field.name}"
        if name == "driver":
            continue  # its keys are a plug-in's
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys(field.type, f"{name}.")
        else:
            yield name, field.default


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that the file gives, dotted, with its value."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    return dict(leaves(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))))


def test_the_example_loads_and_equals_the_defaults_but_for_the_server() -> None:
    config = load(EXAMPLE, {})
    assert config.cloud.server == SERVER
    assert msgspec.structs.replace(config, cloud=msgspec.structs.replace(config.cloud, server="")) == Config()


def test_the_walk_finds_what_a_person_would_look_for() -> None:
    known = dict(keys(Config))
    assert {"cloud.server", "job.max_temperature.chamber", "scripts.park", "simulated.faults"} <= set(known)


@pytest.mark.parametrize(("key", "default"), list(keys(Config)), ids=lambda value: value if "." in str(value) else "")
def test_every_key_is_in_the_example_with_its_default(key: str, default: Any, given: dict[str, Any]) -> None:
    assert key in given
    expected = SERVER if key == "cloud.server" else default
    assert given[key] == (list(expected) if isinstance(expected, tuple) else expected)


def test_the_example_has_no_key_that_does_not_exist(given: dict[str, Any]) -> None:
    assert set(given) == {key for key, _ in keys(Config)}


def test_the_scripts_of_the_example_are_the_ones_the_agent_has(given: dict[str, Any]) -> None:
    assert {key: value for key, value in given.items() if key.startswith("scripts.")} == {
        "scripts.pause": [],
        "scripts.resume": [],
        "scripts.cancel": [],
        "scripts.home": [],
        "scripts.park": [],
        "scripts.calibrate": [],
    }


def test_the_sections_come_in_the_order_of_the_design() -> None:
    found = re.findall(r"^\[(\w+)\]$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found == SECTIONS
    assert set(found) == set(Config.__struct_fields__)


def test_each_key_is_explained_above_it() -> None:
    """A comment stands above each key, or above the keys directly before it."""
    explained = False
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            explained = True
        elif "=" in line:
            assert explained, line
        else:
            explained = False
        assert len(line) <= 120, line


def test_the_precedence_at_the_top_is_what_happens() -> None:
    """The examples at the top of the file work, and the command line is stronger than the environment."""
    environ = {"PRINTER_AGENT_SERIAL_BAUD": "57600", "PRINTER_AGENT_LOGS_LEVEL": "debug"}
    config = load(EXAMPLE, environ, ["serial.baud=250000", 'scripts.home=["G28 X Y"]'])
    assert (config.serial.baud, config.logs.level, config.scripts.home) == (250000, "debug", ("G28 X Y",))
