"""The sliced files of the tests, and a scan in blocks of a given size."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

from agent.gcode import Index, Limits, Scanner

ROOT = Path(__file__).resolve().parents[3]

LINES_AND_LAYERS = {
    "demo": (7_103, 29),
    "cube_prusaslicer": (15_785, 99),
    "cube_cura": (18_388, 100),
    "cube_slic3r": (9_762, 80),
    "vase_prusaslicer": (111_806, 199),
}


@cache
def sliced(name: str) -> bytes:
    """The bytes of a sliced file."""
    if name == "demo":
        return (ROOT / "agent/sandbox/data/demo.gcode").read_bytes()
    return gzip.decompress((ROOT / f"tests/data/{name}.gcode.gz").read_bytes())


def scan(data: bytes, *, block: int = 65_536, limits: Limits | None = None, dialect: str = "") -> Index:
    """The index of `data`, fed in blocks of `block` bytes, for a printer with the firmware `dialect`."""
    scanner = Scanner(limits, dialect)
    for start in range(0, len(data), block):
        scanner.feed(data[start : start + block])
    return scanner.finish()


def slow_lines(data: bytes) -> list[bytes]:
    """The sendable lines, the slow and obviously right way (for lines without numbers of their own)."""
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b" ")
    lines = []
    for line in data.split(b"\n"):
        code, inside = bytearray(), False
        for char in line:
            if inside:
                inside = char != ord(")")
            elif char == ord(";"):
                break
            elif char == ord("("):
                inside = True
            else:
                code.append(char)
        if stripped := bytes(code).strip()[:4096].rstrip():
            lines.append(stripped)
    return lines
