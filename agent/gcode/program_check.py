"""Checks of a whole program: moves far outside the build volume, inches, extruding while cold. Pure.

Made for whole blocks of text: a regular expression finds the few lines that matter, and only those are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.gcode.modal import ModalState

TOLERANCE = 20.0
"""mm that a move may leave the build volume by: purge lines, wipers and park places are outside of the bed."""

COLD = "filament is moved before anything heats the nozzle (no M104 or M109 before it)"
INCHES = "the file is in inches (G20)"

_MODAL = re.compile(rb"\n[ \t]*(?:N\d+[ \t]*)?G0*(90|91|20|21|92)(?![\d.])([^\n;(]*)")
_MOVE = re.compile(rb"[ \t]*(?:N\d+[ \t]*)?G0*[0-3](?![\d.])[^;(]*\Z")
_HEATS = re.compile(rb"\n[ \t]*(?:M0*(?:104|109|302)(?!\d)|[A-Z_]{4})")  # a macro of Klipper's may heat too
_EXTRUDES = re.compile(rb"\n[ \t]*G0*[01][ \t][^\n;(]*E[ \t]*[-+]?[\d.]")


class ProgramCheck:
    """Checks texts of whole lines in order. `volume` is x, y, z in mm; empty: not known, moves are not checked. With an
    origin in a corner or in the middle of the bed, moves from -x/2 - TOLERANCE to x + TOLERANCE are fine, and z from
    -TOLERANCE to z + TOLERANCE."""

    def __init__(self, volume: tuple[float, ...] = ()) -> None:
        self._volume = volume
        self._far = _outside(volume) if volume else None
        self._known = True  # whether coordinates are those of the build volume: absolute, mm, not shifted by G92
        self._modal = ModalState()
        self._shifted = False
        self._cold = True

    def outside(self, text: bytes) -> tuple[int, str] | None:
        """Find the first move far outside the build volume in `text`, whole lines after a newline, the next ones of the
        file: where in `text` its line begins, and why it is refused; None when there is none."""
        far = self._far.finditer(text) if self._far is not None else iter(())
        hit = next(far, None)
        for modal in self._modals(text):
            while hit is not None and hit.start() < modal.start():
                if why := self._judge(text, hit):
                    return why
                hit = next(far, None)
            self._change(modal[1], modal[2])
        while hit is not None:
            if why := self._judge(text, hit):
                return why
            hit = next(far, None)
        return None

    def cautions(self, text: bytes) -> Iterator[tuple[int, str]]:
        """Warnings about the same `text`: where the line begins, and what it is."""
        if b"\nG20" in text:
            yield text.index(b"\nG20") + 1, INCHES
        if self._cold:
            heats = _HEATS.search(text)
            self._cold = heats is None
            extrudes = _EXTRUDES.search(text, 0, heats.start() if heats else len(text))
            if extrudes:
                self._cold = False  # said once
                yield extrudes.start() + 1, COLD

    def _modals(self, text: bytes) -> Iterator[re.Match[bytes]]:
        if self._far is None or not (b"\nG9" in text or b"\nG2" in text or b"\n " in text or b"\nN" in text):
            return iter(())
        return _MODAL.finditer(text)

    def _change(self, code: bytes, words: bytes) -> None:
        if code != b"92":
            self._modal.follow(b"G" + code)
        elif not set(b"XYZ").isdisjoint(words) or not words.strip():
            self._shifted = True  # from here on the numbers are not places on the bed
        self._known = self._modal.absolute and not self._modal.inches and not self._shifted

    def _judge(self, text: bytes, hit: re.Match[bytes]) -> tuple[int, str] | None:
        start = text.rfind(b"\n", 0, hit.start()) + 1
        if not self._known or not _MOVE.match(text, start, hit.end()):
            return None
        axis = "XYZ".index(chr(hit[0][0]))
        end = text.find(b"\n", hit.end())
        number = re.match(rb"[-\d.]+", text[hit.start() + 1 : end])
        said = number[0].decode() if number else "?"
        size = " × ".join(f"{length:g}" for length in self._volume)
        return start, f"the move goes to {'XYZ'[axis]} {said} mm, far outside the build volume of {size} mm"


def _outside(volume: tuple[float, ...]) -> re.Pattern[bytes]:
    """Finds a coordinate far outside by its digits alone, so that a million others cost nothing."""
    words = []
    for letter, length in zip("XYZ", volume, strict=True):
        below = TOLERANCE if letter == "Z" else length / 2 + TOLERANCE
        words.append(f"{letter}(?:{at_least(int(length + TOLERANCE) + 1)}|-(?:{at_least(int(below) + 1)}))")
    return re.compile("|".join(words).encode())


def at_least(number: int) -> str:
    """A pattern for the digits of a whole number that is at least `number`."""
    digits = str(number)
    higher = [
        f"{digits[:place]}[{int(digit) + 1}-9]\\d{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    return "|".join([*higher, digits, f"\\d{{{len(digits) + 1},}}"])
