"""A store for tests: the real one, with nobody to tell of the disk's trouble unless the test wants to know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.core.clock import Clock
from agent.state.store import Store


def _ignore(_reason: str) -> None:
    """Nobody is told."""


def open_store(path: Path, clock: Clock, *, boot: str = "", on_trouble: Callable[[str], None] = _ignore) -> Store:
    """Open the store at `path`."""
    return Store(path, clock, boot=boot, on_trouble=on_trouble)
