"""How long a line may take, and when the printer is asked after it."""

from __future__ import annotations

import pytest

from drivers.gcode.protocol.patience import LONG_S, ORDINARY_S, asked_after, patience


@pytest.mark.parametrize("code", [b"G0 X1", b"G1 X1", b"G2 X1 I1", b"G92 E0", b"M106 S255", b"M204 P500", b"M73 P3"])
def test_what_is_done_at_once_is_asked_after_soon(code: bytes) -> None:
    """docs/serial.md §16: recovery takes well under a second."""
    assert patience(code) == ORDINARY_S
    assert asked_after(code, patience(code)) == 0.5


@pytest.mark.parametrize("code", [b"G28", b"G12", b"G425", b"T1", b"PRINT_START BED=60", b"MESH_LEVEL", b"_MACRO", b""])
def test_what_homes_cleans_or_may_be_a_macro_has_time(code: bytes) -> None:
    """docs/serial.md §15; on Klipper any name may take minutes."""
    assert patience(code) == LONG_S
    assert 30 < asked_after(code, patience(code)) < 120


@pytest.mark.parametrize(("code", "seconds"), [(b"G4 S60", 60), (b"G4 P500", 0.5), (b"G4 S1 P500", 1.5)])
def test_a_dwell_is_asked_after_when_its_time_is_over(code: bytes, seconds: float) -> None:
    """docs/serial.md §15."""
    assert seconds < asked_after(code, patience(code)) < seconds + 3
    assert patience(code) > seconds + 30
