"""Where things are: the state folder and the local socket."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.service.config import Config

NAME = "printer-agent"


def state_dir(config: Config, environ: Mapping[str, str]) -> Path:
    """`[state] dir`; auto: systemd's $STATE_DIRECTORY, else the XDG state folder."""
    if config.state.dir != "auto":
        return Path(config.state.dir).expanduser()
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    base = environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / NAME


def runtime_dir(environ: Mapping[str, str]) -> Path | None:
    """systemd's $RUNTIME_DIRECTORY; None where there is none."""
    given = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return Path(given) if given else None


def socket_path(config: Config, environ: Mapping[str, str]) -> Path:
    """`[local] socket`; auto: agent.sock in systemd's $RUNTIME_DIRECTORY, in /run/printer-agent for a service that
    runs there, in $XDG_RUNTIME_DIR, or else in the state folder."""
    if config.local.socket != "auto":
        return Path(config.local.socket).expanduser()
    given = runtime_dir(environ)
    if given is not None:
        return given / "agent.sock"
    service = Path("/run") / NAME / "agent.sock"
    if os.access(service, os.W_OK):
        return service
    if config.state.dir == "auto" and environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / NAME / "agent.sock"
    return state_dir(config, environ) / "agent.sock"
