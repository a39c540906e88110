"""The pinned versions (constraints/): complete, the same everywhere, and with hashes for what a service installs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints"
HASHED = ("service", "websocket", "qr", "sandbox", "build")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    """The versions in a file of constraints/."""
    return dict(PIN.findall((CONSTRAINTS / f"{name}.txt").read_text()))


def named(name: str) -> set[str]:
    """The distributions that pyproject.toml names: `dependencies` for the service, else an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] if name == "service" else project["optional-dependencies"][name]
    return {re.split(r"[^A-Za-z0-9-]", one)[0].lower() for one in wanted} - {"printer-agent"}


@pytest.mark.parametrize("name", ["service", "websocket", "qr", "sandbox", "test"])
def test_all_that_pyproject_names_is_pinned(name: str) -> None:
    assert named(name) <= set(pinned(name))


def test_the_build_backend_is_pinned() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert {re.split(r"[^a-z-]", one)[0] for one in system["requires"]} <= set(pinned("build"))


@pytest.mark.parametrize("name", HASHED)
def test_a_service_gets_the_versions_that_are_tested(name: str) -> None:
    assert pinned(name).items() <= pinned("test").items()


@pytest.mark.parametrize("name", HASHED)
def test_each_distribution_that_a_service_or_its_build_installs_has_hashes(name: str) -> None:
    text = (CONSTRAINTS / f"{name}.txt").read_text()
    whole = re.findall(
        r"^[a-z0-9-]+==\S+(?: ;[^\\]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", text, re.MULTILINE
    )
    assert len(whole) == len(pinned(name))


def test_no_file_names_an_index() -> None:
    for path in CONSTRAINTS.iterdir():
        assert "://" not in path.read_text(), path.name
