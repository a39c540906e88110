"""`agent.testing` is for tests only, and of it only the contract needs pytest."""

from __future__ import annotations

import subprocess
import sys

NO_PYTEST = "import sys; sys.modules['pytest'] = None; "
"""An import of pytest raises ImportError from here on."""


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)


def test_the_bench_and_the_fakes_are_imported_without_pytest() -> None:
    done = python(NO_PYTEST + "import agent.testing; print(sorted(agent.testing.__all__))")
    assert "TcpBridge" in done.stdout, done.stderr


def test_the_contract_needs_pytest() -> None:
    assert "ModuleNotFoundError" in python(NO_PYTEST + "import agent.testing.driver_contract").stderr


def test_the_daemon_and_the_drivers_import_nothing_of_it() -> None:
    script = (
        "import sys, agent.app, drivers.gcode.driver; print([m for m in sys.modules if m.startswith('agent.testing')])"
    )
    assert python(script).stdout == "[]\n"
