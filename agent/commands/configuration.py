"""Configuration that a command works with, from its arguments."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from agent.service.config import Config, load
from agent.service.paths import socket_path

DEFAULT_CONFIG = Path("/etc/printer-agent/config.toml")


def config_of(arguments: argparse.Namespace) -> Config:
    """Load the configuration of the command's arguments. Raises ConfigError."""
    path = arguments.config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None)
    return load(path, os.environ, arguments.overrides)


def socket_of(arguments: argparse.Namespace) -> Path:
    """Path of the running agent's socket. Raises ConfigError."""
    return socket_path(config_of(arguments), os.environ)
