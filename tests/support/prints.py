"""Prints of which each line is there once, and the check that a printer executed one whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


def gcode(moves: int, *, length: float = 2.5, speed: int = 1500) -> list[str]:
    """A print of which each line is there once, and which says where it is: mm, and mm a minute."""
    lines = ["M117 begin", "G90", "M82", "G28", "M104 S60", "M106 S120", "G1 Z0.2 F600"]
    for at in range(1, moves + 1):
        if at % 50 == 1:
            lines.append(f"M117 layer {at // 50}")
        place = 20.0 + length * (at % 20 if at // 20 % 2 == 0 else 20 - at % 20)
        lines.append(f"G1 X{place:.2f} Y{20 + at // 20 % 20} E{at / 1000:.3f} F{speed}")
    return [*lines, "M117 end"]


def write_gcode(path: Path, lines: list[str]) -> Path:
    """With the comments by which layers are known."""
    text = "\n".join(f";LAYER_CHANGE\n{line}" if line.startswith("M117 layer") else line for line in lines)
    path.write_text(text + "\n")
    return path


def gcode_file(folder: Path, text: str, name: str = "part.gcode") -> Path:
    """A file of G-code as it is given."""
    path = folder / name
    path.write_text(text)
    return path


def of_the_file(executed: list[tuple[float, str]], lines: list[str]) -> list[tuple[float, str]]:
    """What was executed without what a host adds: the file's own lines that no host would send by itself."""
    own = {line for line in lines if line.startswith(("M117", "G1 X"))}
    return [(at, code) for at, code in executed if code in own]


def assert_whole(executed: list[tuple[float, str]], lines: list[str]) -> None:
    """What was executed is the file: each line once, in order."""
    own = of_the_file(executed, lines)
    wanted = [line for line in lines if line.startswith(("M117", "G1 X"))]
    if [code for _, code in own] == wanted:
        return
    pairs = enumerate(zip(own, wanted, strict=False))
    at = next((i for i, ((_, found), line) in pairs if found != line), min(len(own), len(wanted)))
    moment = own[min(at, len(own) - 1)][0]
    around = "\n".join(f"  {moved - moment:+.3f} {code}" for moved, code in executed if abs(moved - moment) < 2.0)
    raise AssertionError(
        f"executed is not the file: {len(own)} lines, {len(wanted)} in the file;"
        f" instead of {wanted[min(at, len(wanted) - 1)]!r}, at 0.000 s:\n{around}"
    )


def check_record(bodies: list[dict[str, Any]]) -> None:
    """The life of a task (docs/protocol.md): begins with progress 0, never goes back, one terminal report at the
    end."""
    values = [body["progress"] for body in bodies]
    assert values[0] == 0
    assert values == sorted(values)
    assert values.count(1) == 1
    assert values[-1] == 1
    assert bodies[0]["data"]["state"] == "received"
    assert bodies[-1]["data"]["state"] in ("completed", "failed")
    for body in bodies:
        assert len(msgspec.json.encode(body["data"]).decode()) <= 5000
