"""A virtual printer that behaves like a real one: on a pseudo-terminal, with motion, heat, mishaps, and the firmware of
one of several families (`Options.dialect`), Marlin 2.1.2 unless told.

    clock.py      simulated time              heat.py, motion.py   the physics
    intake.py     bytes -> accepted lines     board.py, acks.py    command queue, ok, resend
    commands.py   what each code does         waits.py             those that take time
    firmware.py   all of it on a clock, pure  faults.py, mishaps.py  what goes wrong on purpose
    family.py     what a firmware may be      dialects.py          the table of those that there are
    quiet.py      what the link does by itself
    pty_port.py   the port and its thread     printer.py           the whole printer
    serve.py      `printer-agent simulate`

How a host resets it: `M997` while it works; when it was killed or is silent, close the port for at least 50 ms and open
it again (`ResetOnOpen`; a pty has no DTR).
"""

from __future__ import annotations

from drivers.simulated.dialects import DIALECTS
from drivers.simulated.faults import Faults
from drivers.simulated.firmware import Firmware
from drivers.simulated.options import Options, ResetOnOpen
from drivers.simulated.printer import VirtualPrinter
from drivers.simulated.serve import serve

__all__ = ["DIALECTS", "Faults", "Firmware", "Options", "ResetOnOpen", "VirtualPrinter", "serve"]
