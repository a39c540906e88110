"""Paths of the agent: the state folder, the runtime folder and the local socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.service.config import Config

NAME = "printer-agent"


def state_dir(config: Config, environ: Mapping[str, str]) -> Path:
    """The state folder, `[state] dir`; auto: systemd's $STATE_DIRECTORY, else the XDG state folder."""
    if config.state.dir != "auto":
        return Path(config.state.dir).expanduser()
    folder = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if folder:
        return Path(folder)
    base = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / NAME


def runtime_dir(environ: Mapping[str, str]) -> Path | None:
    """The runtime folder, systemd's $RUNTIME_DIRECTORY; None where there is none."""
    folder = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(folder) if folder else None


def socket_path(config: Config, environ: Mapping[str, str]) -> Path:
    """The local socket, `[local] socket`; auto: agent.sock in systemd's $RUNTIME_DIRECTORY, in /run/printer-agent for a
    service that runs there, in $XDG_RUNTIME_DIR, or else in the state folder."""
    if config.local.socket != "auto":
        return Path(config.local.socket).expanduser()
    runtime = runtime_dir(environ)
    if runtime is not None:
        return runtime / "agent.sock"
    service = Path("/run") / NAME / "agent.sock"
    if os.access(service, os.W_OK):
        return service
    if config.state.dir == "auto" and environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / NAME / "agent.sock"
    return state_dir(config, environ) / "agent.sock"
