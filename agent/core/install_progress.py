"""Progress of a program that writes firmware, read from what it prints. Pure.

avrdude 6, 7   `Writing | ####…#### | 100% 0.03s`, a mark for each 2 % where it prints to no terminal
bossac         `Write 75032 bytes to flash (147 pages)`, then `[======       ] 22% (33/147 pages)` again and again
dfu-util       `Download	[======       ]  24%         6144 bytes`, as well `Erase`
stm32flash     `Wrote and verified address 0x08000100 (39.49%)`
any other      `NN %` or `NN.N%` at any place of a line

Of the first four it is known what they do; erasing, writing and verifying are parts of one progress that never goes
back. The percentage of any other is the progress itself."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

LINE = 240  # characters of a line that are looked at
_MARK = 2  # percent of one of avrdude's marks


class InstallStage(StrEnum):
    """What the program is doing."""

    RUNNING = "installing"
    ERASING = "erasing"
    WRITING = "writing"
    VERIFYING = "verifying"


_S = InstallStage
_SHARES = {_S.RUNNING: (0.0, 1.0), _S.ERASING: (0.0, 0.1), _S.WRITING: (0.1, 0.75), _S.VERIFYING: (0.75, 1.0)}
_WORDS = (  # at the beginning of a line → the stage that begins there
    ("Writing |", _S.WRITING),
    ("Reading |", _S.VERIFYING),
    ("Erasing |", _S.ERASING),
    ("Erase flash", _S.ERASING),
    ("Write ", _S.WRITING),
    ("Verify ", _S.VERIFYING),
    ("Erase\t", _S.ERASING),
    ("Erase ", _S.ERASING),
    ("Download\t", _S.WRITING),
    ("Download ", _S.WRITING),
    ("Erasing memory", _S.ERASING),
    ("Wrote ", _S.WRITING),
)
_BARS = ("Writing |", "Reading |", "Erasing |")
_PERCENT = re.compile(r"(?<![\d.])(\d{1,3})(?:\.\d{1,3})? ?%")
_ESCAPE = re.compile(r"\x1b\[[0-9;]{0,8}[A-Za-z]")


class InstallProgress(msgspec.Struct):
    """What is known so far: the stage, its percentage (None: nothing was printed of it), and the progress of all, 0 to
    1."""

    stage: InstallStage = InstallStage.RUNNING
    percent: int | None = None
    fraction: float = 0.0
    _line: str = ""

    @property
    def text(self) -> str:
        """For a person, for example `writing 43 %`."""
        return str(self.stage) if self.percent is None else f"{self.stage} {self.percent} %"

    def feed(self, output: bytes) -> None:
        """Take what the program has printed since the last call, in pieces of any size."""
        for piece in re.split(r"([\r\n])", output.decode("latin-1")):
            if piece in ("\r", "\n"):
                self._line = ""
                continue
            if piece:
                self._line = (self._line + piece)[:LINE]
                self._read(_ESCAPE.sub("", self._line))

    def _read(self, line: str) -> None:
        stage = next((stage for word, stage in _WORDS if line.startswith(word)), self.stage)
        if stage is _S.VERIFYING and self.stage in (_S.RUNNING, _S.ERASING):
            return  # what is read before anything was written: the signature
        if stage is not self.stage:
            self.stage, self.percent = stage, None
        percent = _percent(line)
        if percent is None:
            return
        first, last = _SHARES[stage]
        self.percent = percent
        self.fraction = max(self.fraction, first + (last - first) * percent / 100)


def _percent(line: str) -> int | None:
    """The last percentage in a line, or that of a bar of marks; None without any."""
    known = [int(digits) for digits in _PERCENT.findall(line) if int(digits) <= 100]
    if known:
        return known[-1]
    if line.startswith(_BARS):
        return min(line.count("#") * _MARK, 100)
    return None
