"""Which heater a reading is of."""

from __future__ import annotations

from drivers.gcode.protocol.replies import readings_in


def test_only_tools_are_numbered() -> None:
    found = readings_in("T:20.0 /0.0 B1:60.0 /60.0 B:50.0 /0.0 T1:nan /0.0 C:30.0")
    assert [(one.name, one.actual) for one in found] == [("tool0", 20.0), ("bed", 50.0), ("chamber", 30.0)]
