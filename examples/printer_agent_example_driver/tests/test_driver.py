"""The driver against the simulated printer behind a TCP bridge: the contract, and what is this driver's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from printer_agent_example_driver.driver import TcpDriver
from printer_agent_example_driver.settings import TcpSettings

import drivers
from agent.core.driver import Host, Outcome, PrinterState, Unfinished
from agent.errors import ConfigError
from agent.testing import Lines, Rig, Setup, SystemClock, TcpBridge, moves
from agent.testing.driver_contract import DriverContract
from drivers.settings import DriverSettings
from drivers.simulated import Options, ResetOnOpen, VirtualPrinter


@contextmanager
def bench(setup: Setup) -> Iterator[tuple[Rig, TcpBridge]]:
    """A simulated printer behind a bridge that resets it at each connection, and a driver that knows the bridge."""
    executed: list[bytes] = []
    options = Options(speed=setup.speed, faults=setup.faults, reset_on_open=ResetOnOpen.ALWAYS)
    with VirtualPrinter(options, on_line=executed.append) as printer:
        bridge = TcpBridge(lambda: printer.path)
        own = TcpSettings(host="127.0.0.1", tcp_port=bridge.tcp_port)
        driver = TcpDriver(DriverSettings(scripts=setup.scripts), clock=SystemClock(), own=own)
        if setup.present:
            bridge.start()
        try:
            yield Rig(driver, executed, bridge.start), bridge
        finally:
            driver.close()
            bridge.stop()


class TestTcpDriver(DriverContract):
    absent = "refused"

    @contextmanager
    def rig(self, tmp_path: Path, setup: Setup) -> Iterator[Rig]:
        with bench(setup) as (rig, _):
            yield rig

    @pytest.mark.parametrize(("code", "error"), [(b"M997", "restarted"), (b"M112", "halted")])
    def test_a_printer_that_restarts_or_halts_fails_the_print(self, tmp_path: Path, code: bytes, error: str) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            rig.ready()
            rig.driver.start_print("p", Lines([*moves(50), code, *moves(2000)]))
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert error in last.error

    def test_a_connection_that_breaks_fails_the_print(self) -> None:
        with bench(Setup()) as (rig, bridge):
            rig.ready()
            rig.driver.start_print("p", Lines(moves(20000)))
            rig.until_line(10)
            bridge.stop()
            now = rig.ended("p")
            last = rig.outcome("p")
            assert last.outcome is Outcome.FAILED
            assert now.state is PrinterState.OFFLINE

    def test_a_print_of_an_agent_before_this_one_fails_and_leaves_the_heaters_off(self, tmp_path: Path) -> None:
        with self.rig(tmp_path, Setup()) as rig:
            unfinished = Unfinished("p", Lines(moves(9)), (), b"", lambda _: (), line=5)
            rig.driver.open(Host(rig.wake), unfinished)
            last = rig.outcome("p")
            assert last.error == "this driver cannot take over a print"
            rig.until(lambda t: t.state is PrinterState.IDLE)
            assert rig.executed[-3:] == [b"M104 S0", b"M140 S0", b"M107"]


def test_its_settings_are_those_of_the_driver_table() -> None:
    own = drivers.own_settings(TcpDriver, {"host": "10.0.0.9", "tcp_port": 8023})
    assert own == TcpSettings(host="10.0.0.9", tcp_port=8023)
    with pytest.raises(ConfigError, match=r"^driver\.tcp_port: expected int <= 65535"):
        drivers.own_settings(TcpDriver, {"host": "h", "tcp_port": 99999})
