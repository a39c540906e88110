"""The table `[driver]`: checked by the plug-in driver's own struct wherever the configuration is checked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import EX_CONFIG, EX_OK

ROOT = Path(__file__).parents[3]
PLUG_IN = """
import msgspec

class Settings(msgspec.Struct):
    host: str
    port: int = 80

class InkDriver:
    Settings = Settings
"""


def check_config(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`printer-agent check-config`, beside an installed distribution with the driver `ink`."""
    installed = folder / "installed"
    (installed / "ink-1.dist-info").mkdir(parents=True)
    (installed / "ink-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ink\nVersion: 1\n")
    points = "[printer_agent.drivers]\nink = ink_driver:InkDriver\n"
    (installed / "ink-1.dist-info" / "entry_points.txt").write_text(points)
    (installed / "ink_driver.py").write_text(PLUG_IN)
    file = folder / "agent.toml"
    file.write_text(f'[cloud]\nserver = "https://h"\n{text}')
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", "check-config", str(file)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{installed}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_plug_in_drivers_keys_are_checked_by_its_own_struct(tmp_path: Path) -> None:
    done = check_config(tmp_path, '[printer]\ndriver = "ink"\n[driver]\nhost = "h"\nport = 8080\n')
    assert (done.returncode, done.stderr) == (EX_OK, "")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[printer]\ndriver = "ink"\n[driver]\nhots = "h"\n', "driver.hots: unknown key; expected host, port"),
        ('[printer]\ndriver = "ink"\n[driver]\nhost = 7\n', "driver.host: expected str, got int"),
        ('[printer]\ndriver = "ink"\n', "driver.host: missing"),
        ('[driver]\nhost = "h"\n', "driver.host: unknown key; expected no [driver] table"),
    ],
    ids=["an unknown key", "a wrong type", "a missing key", "a built-in driver"],
)
def test_a_key_that_the_driver_does_not_take_is_named(tmp_path: Path, text: str, error: str) -> None:
    done = check_config(tmp_path, text)
    assert done.returncode == EX_CONFIG
    assert error in done.stderr
