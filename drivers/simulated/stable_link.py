"""Stable name for a port whose own name changes: a symbolic link of our own."""

from __future__ import annotations

import os
from pathlib import Path

from agent.errors import DataError


class StableLink:
    """A symlink at `path`. Only a symlink is ever replaced, and only our own is removed."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._target = ""

    def point_to(self, target: str) -> None:
        """Make it point to `target`, in one step for those who look. Raises DataError when the name belongs to
        something that is not a symlink, or the folder does not let us."""
        if os.path.lexists(self.path) and not self.path.is_symlink():
            raise DataError(f"{self.path} exists and is not a symbolic link; it is left alone")
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            beside.unlink(missing_ok=True)
            beside.symlink_to(target)
            beside.replace(self.path)
        except OSError as error:
            raise DataError(f"cannot create the link {self.path}: {error.strerror}") from error
        self._target = target

    def remove(self) -> None:
        """Remove it, unless somebody else has made it theirs."""
        if self._target and self.path.is_symlink() and str(self.path.readlink()) == self._target:
            self.path.unlink(missing_ok=True)
        self._target = ""
