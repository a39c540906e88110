"""The limits that hold in every case."""

from __future__ import annotations

PEAK_MB = 64.0  # resident memory of the agent's process, at its highest
ACT_S = 1.0  # seconds from a command's publication until the driver acts on it
STATE_MB = 32.0  # the state folder without the file that is printed
LOG_MB_A_MINUTE = 1.0
UNIT_MB = 128  # what the unit may take
