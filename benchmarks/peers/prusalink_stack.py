"""PrusaLink's serial stack prints one file; run by the Python of PrusaLink's own environment, never by ours.

    python prusalink_stack.py PORT FILE FOLDER

SerialAdapter, ThreadedSerialParser, MonitoredSerialQueue and FilePrinter as PrusaLink wires them; no telemetry, no
Connect, no web server. `prctl`, which only gives threads their names, is stood in for, so that no C library is needed;
so are the 8 seconds that a board has to boot. Prints one line of JSON: `cpu` in seconds from the start of the print to
its end.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

LIMIT_S = 280.0


def stack(port: str, folder: Path) -> Any:
    """The FilePrinter, with everything below it, connected."""
    prctl = ModuleType("prctl")
    prctl.set_name = lambda _name: None  # type: ignore[attr-defined]
    sys.modules["prctl"] = prctl
    adapter = import_module("prusa.link.serial.serial_adapter")
    vars(adapter)["sleep"] = lambda _seconds: None
    model = import_module("prusa.link.printer_adapter.model").Model()
    parser = import_module("prusa.link.serial.serial_parser").ThreadedSerialParser()
    connection = adapter.SerialAdapter(parser, model, configured_port=port)
    end = time.monotonic() + 30.0
    while connection.serial is None or model.serial_adapter.using_port is None:
        assert time.monotonic() < end, "no connection"
        time.sleep(0.05)
    queue = import_module("prusa.link.serial.serial_queue").MonitoredSerialQueue(
        serial_adapter=connection, serial_parser=parser, threshold_path=str(folder / "threshold")
    )
    daemon = SimpleNamespace(power_panic_file=str(folder / "power_panic"))
    printer = import_module("prusa.link.printer_adapter.file_printer").FilePrinter(
        queue, parser, model, SimpleNamespace(daemon=daemon)
    )
    model.job = SimpleNamespace(selected_file_path="")
    queue.message_number_changed.connect(printer.serial_message_number_changed)
    return printer


def main() -> int:
    """See the module."""
    port, file, folder = sys.argv[1:4]
    printer = stack(port, Path(folder))
    done = threading.Event()

    def finished(_sender: object) -> None:
        done.set()

    printer.print_finished_signal.connect(finished)
    began = time.process_time()
    printer.print(file)
    assert done.wait(LIMIT_S), "not done"
    print(json.dumps({"cpu": time.process_time() - began}), flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
