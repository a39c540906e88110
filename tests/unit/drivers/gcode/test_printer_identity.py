"""What a printer says of itself is kept, up to a bound."""

from __future__ import annotations

from drivers.gcode.printing.dialects import BUSY
from drivers.gcode.printing.printer_identity import CAPABILITIES, PrinterIdentity


def test_capabilities_without_end_are_not_kept() -> None:
    """They made an agent grow by 7 MB for each 3 MB of such lines, for as long as it lived."""
    identity = PrinterIdentity(None)
    identity.add_capability("EMERGENCY_PARSER")
    for number in range(10 * CAPABILITIES):
        identity.add_capability(f"NONSENSE_{number}")
    identity.note_busy()
    capabilities = identity.identify([]).capabilities
    assert {"EMERGENCY_PARSER", BUSY} <= capabilities
    assert len(capabilities) == CAPABILITIES + 1


def test_a_capability_longer_than_any_is_not_kept() -> None:
    identity = PrinterIdentity(None)
    identity.add_capability("X" * 1000)
    assert not identity.identify([]).capabilities
