"""Simulated 3D printer on a pseudo-terminal: motion, heat, faults on purpose, and a firmware of one of several dialects
(`Options.dialect`), Marlin 2.1.2 by default. It is what tests judge the driver by, so it shares no parser, framing or
modal state with the code that it tests.

    firmware.py        bytes in, bytes out, on a clock; pure
    controller.py      one board between two resets: command queue, resend requests, faults
    command_execution.py   the command that runs, and its `ok`
    line_receiver.py   received bytes -> accepted lines        acks.py            the `ok`s on their way
    command_line.py    a line -> code and parameters           command_table.py   code -> what it does
    waits.py           commands that take time                 emergency.py       M108, M112, M410 before their turn
    machine.py         the state that commands act on          heater.py, motion.py   the physics
    link_timers.py     what happens on an idle link            info_texts.py      answer to M115
    setting_commands.py    what sets and tells settings        firmware_settings.py   their values
    dialect.py         what a firmware dialect may be          dialects.py        the table of dialects
    faults.py          faults by spec (`lost-ok=0.01`)         random_faults.py   their random generators
    pty_port.py        the port and its thread                 stable_link.py, virtual_clock.py
    printer.py         the whole printer                       options.py         what it is made of
    bootloader.py      STK500v2, as avrdude speaks it     flashable_board.py bootloader, then firmware
    firmware_image.py  what is written into the flash
    driver.py          the driver `simulated`                  serve.py           `printer-agent simulate`
    replay.py          `printer-agent replay`: a black box against the simulator

How a host resets it: `M997` while it works; when it was killed or is silent, close the port for at least 50 ms and open
it again (`ResetOnOpen`; a pty has no DTR).
"""

from __future__ import annotations

from drivers.simulated.dialects import DIALECTS
from drivers.simulated.faults import Faults
from drivers.simulated.firmware import VirtualFirmware
from drivers.simulated.options import Options, ResetOnOpen
from drivers.simulated.printer import VirtualPrinter
from drivers.simulated.serve import serve

__all__ = ["DIALECTS", "Faults", "Options", "ResetOnOpen", "VirtualFirmware", "VirtualPrinter", "serve"]
