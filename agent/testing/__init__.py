"""Test support for authors of drivers: the driver contract, its bench and fakes. The agent itself never imports it.

    rig.py                     a printer, a driver, lines to print; waiting with a limit
    fake_clock.py              a clock that stands still until it is advanced
    tcp_bridge.py              the simulated printer's serial port on TCP, for drivers of network printers
    driver_contract.py         what every driver does, as a pytest class          needs pytest
    serial_driver_contract.py  the same for a driver on a serial line             needs pytest

The last two are imported by name (`from agent.testing.driver_contract import DriverContract`), so that the rest can be
used without pytest. `docs/drivers.md` shows all of it at work.
"""

from agent.service.system_clock import SystemClock
from agent.testing.fake_clock import FakeClock
from agent.testing.rig import Lines, Rig, Setup, moves
from agent.testing.tcp_bridge import TcpBridge

__all__ = ["FakeClock", "Lines", "Rig", "Setup", "SystemClock", "TcpBridge", "moves"]
